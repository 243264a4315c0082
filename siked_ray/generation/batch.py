"""Sample and verify rows {problem_id, question, answer, strategy} on one engine → rollouts, row by row.

Plain Python: the engine and the verifier are passed in, so that the logic is testable without either. The engine's own
thread only puts what is finished into a queue, and one thread takes everything out of it: threads that wake up while a
model decodes take the interpreter's lock from it.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Protocol

from siked_ray.core.ids import request_id, sampling_seed
from siked_ray.core.prompts import student_prompt, teacher_prompt
from siked_ray.core.rollout import FREE, Rollout
from siked_ray.core.strategy import Strategy, clean_rationale, split_tag
from siked_ray.core.verdict import Judgement, Verdict
from siked_ray.generation.engine import EncodedPrompt, Engine, RequestRejected, Sample, SamplingParameters
from siked_ray.generation.sampler import RowSampler
from siked_ray.generation.task import GenerationTask, Role, Row


class Judge(Protocol):
    """What sampling needs of a verifier."""

    def judge(self, strategy: str, completion: str, answer: str) -> Judgement:
        """The verdict on a completion."""

    def judge_at_once(self, strategy: str, completion: str, answer: str) -> Judgement | None:
        """The same, or None where that would have to wait for another process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """A row that cannot be sampled, and why."""

    problem_id: str
    strategy: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledRow:
    """A finished row: all the samples that were drawn, in the order of their indices."""

    row: Row
    rollouts: tuple[Rollout, ...]


@dataclass(slots=True)
class _LiveRow:
    """`finished` takes the row in the end, or what its call fails of."""

    row: Row
    prompt: EncodedPrompt
    sampler: RowSampler
    finished: "_Finished"
    rollouts: list[Rollout] = field(default_factory=list)
    rejection: str | None = None


@dataclass(frozen=True, slots=True)
class _Draw:
    """One sample of a row."""

    live: _LiveRow
    index: int
    identity: str
    seed: int


#: Samples come from the engine, rollouts from where they were judged.
_Arrival = tuple[_Draw, "Future[Sample] | Future[Rollout]"]
_Finished = queue.SimpleQueue[SampledRow | Quarantined | Exception]


class BatchSampler:
    """Runs batches of rows of one task; several batches may run at once and share the engine.

    What waits for another process is judged in `executor`, and delays its own row only. `close` ends its thread.
    """

    def __init__(self, task: GenerationTask, engine: Engine, judge: Judge, executor: Executor) -> None:
        self._task = task
        self._engine = engine
        self._judge = judge
        self._executor = executor
        self._strategies = {strategy.name: strategy for strategy in task.strategies}
        self._arrivals: queue.SimpleQueue[_Arrival | None] = queue.SimpleQueue()
        threading.Thread(target=self._take_in, name="samples", daemon=True).start()

    def close(self) -> None:
        """Take in nothing more; no batch may be running."""
        self._arrivals.put(None)

    def run(self, rows: Sequence[Row]) -> Iterator[SampledRow | Quarantined]:
        """Yield each row as soon as it is finished; rows that cannot be sampled come quarantined."""
        finished: _Finished = queue.SimpleQueue()
        for row in rows:
            live = self._prepare(row, finished)
            if isinstance(live, Quarantined):
                finished.put(live)
            else:
                self._draw(live)
        for _ in rows:
            outcome = finished.get()
            if isinstance(outcome, Exception):
                raise outcome
            yield outcome

    def _take_in(self) -> None:
        """Whatever arrives, of all batches; what goes wrong is raised in the batch that it belongs to."""
        while (arrival := self._arrivals.get()) is not None:
            draw, future = arrival
            try:
                outcome = self._outcome(draw, future)
                if outcome is not None:
                    self._arrived(draw, outcome)
            except Exception as error:
                draw.live.finished.put(error)

    def _outcome(self, draw: _Draw, future: "Future[Sample] | Future[Rollout]") -> Rollout | RequestRejected | None:
        """What became of a sample; None when it is being judged and will arrive once more."""
        try:
            arrived = future.result()
        except RequestRejected as error:
            return error
        if isinstance(arrived, Rollout):
            return arrived
        strategy, text = self._chosen_strategy(draw.live.row["strategy"], arrived.text)
        completion = clean_rationale(text)
        judgement = self._judged_at_once(strategy, completion, draw.live.row["answer"], arrived.finished)
        if judgement is not None:
            return self._rollout(draw, arrived, strategy, completion, judgement)
        judging = self._executor.submit(self._judged, draw, arrived, strategy, completion)
        judging.add_done_callback(lambda judged: self._arrivals.put((draw, judged)))
        return None

    def _arrived(self, draw: _Draw, outcome: Rollout | RequestRejected) -> None:
        """Count a sample in, and draw more or finish the row."""
        live = draw.live
        if isinstance(outcome, RequestRejected):
            live.rejection = str(outcome)
            live.sampler.give_up(draw.index)
        else:
            live.rollouts.append(outcome)
            live.sampler.add(draw.index, outcome.verdict)
            self._draw(live)
        if not live.sampler.outstanding:
            live.finished.put(_finished(live))

    def _prepare(self, row: Row, finished: _Finished) -> _LiveRow | Quarantined:
        try:
            prompt = self._encode(row)
        except RequestRejected as error:
            return _quarantined(row, str(error))
        plan, context = self._task.plan, self._engine.max_model_len
        if prompt.token_ids is not None and context is not None:
            room = context - len(prompt.token_ids)
            if room < plan.max_new_tokens:
                return _quarantined(
                    row,
                    f"prompt of {len(prompt.token_ids)} tokens leaves {max(room, 0)} of a context of {context}, "
                    f"and {plan.max_new_tokens} new tokens are asked for",
                )
        sampler = RowSampler(num_samples=plan.num_samples, ramp=plan.ramp, keep=plan.keep)
        return _LiveRow(row=row, prompt=prompt, sampler=sampler, finished=finished)

    def _encode(self, row: Row) -> EncodedPrompt:
        """The row's prompt; a forced tag is tokenised as a piece of its own, as in training."""
        templates = self._task.templates
        if self._task.role is Role.TEACHER:
            return self._engine.encode(
                teacher_prompt(templates, self._strategies[row["strategy"]], row["question"]), ""
            )
        forced = "" if row["strategy"] == FREE else self._strategies[row["strategy"]].tag
        return self._engine.encode(student_prompt(templates, row["question"]), forced)

    def _draw(self, live: _LiveRow) -> None:
        for index in live.sampler.next_indices():
            self._submit(live, index)

    def _submit(self, live: _LiveRow, index: int) -> None:
        row, plan = live.row, self._task.plan
        identity = request_id(row["problem_id"], row["strategy"], index, self._task.iteration)
        draw = _Draw(live, index, identity, sampling_seed(self._task.run_seed, identity))
        parameters = SamplingParameters(
            seed=draw.seed,
            temperature=plan.temperature,
            top_p=plan.top_p,
            max_new_tokens=plan.max_new_tokens,
            stop=tuple(self._task.templates.stop) if self._task.role is Role.TEACHER else (),
        )
        self._engine.submit(live.prompt, parameters).add_done_callback(
            lambda future: self._arrivals.put((draw, future))
        )

    def _judged(self, draw: _Draw, sample: Sample, strategy: Strategy | None, completion: str) -> Rollout:
        assert strategy is not None, "what has no strategy is judged at once"
        judgement = self._judge.judge(strategy.name, completion, draw.live.row["answer"])
        return self._rollout(draw, sample, strategy, completion, judgement)

    def _rollout(
        self, draw: _Draw, sample: Sample, strategy: Strategy | None, completion: str, judgement: Judgement
    ) -> Rollout:
        live = draw.live
        return Rollout(
            request_id=draw.identity,
            problem_id=live.row["problem_id"],
            requested=live.row["strategy"],
            strategy=strategy.name if strategy else "none",
            sample_index=draw.index,
            seed=draw.seed,
            prompt=live.prompt.text,
            completion=completion,
            num_prompt_tokens=sample.num_prompt_tokens,
            num_tokens=sample.num_tokens,
            truncated=not sample.finished,
            verdict=judgement.verdict,
            predicted=judgement.predicted,
            reason=judgement.reason,
            model=self._task.model,
            engine=self._engine.name,
        )

    def _chosen_strategy(self, requested: str, text: str) -> tuple[Strategy | None, str]:
        if requested != FREE:
            return self._strategies[requested], text
        name, rationale = split_tag(text)
        strategy = self._strategies.get(name) if name else None
        return (strategy, rationale) if strategy else (None, text)

    def _judged_at_once(
        self, strategy: Strategy | None, completion: str, answer: str, finished: bool
    ) -> Judgement | None:
        if not finished:
            reason = f"cut off at {self._task.plan.max_new_tokens} tokens"
            return Judgement(verdict=Verdict.UNPARSED, predicted=None, reason=reason)
        if strategy is None:
            return Judgement(verdict=Verdict.UNPARSED, predicted=None, reason="begins with no known strategy tag")
        return self._judge.judge_at_once(strategy.name, completion, answer)


def _finished(live: _LiveRow) -> SampledRow | Quarantined:
    if live.rejection is not None:
        return _quarantined(live.row, live.rejection)
    return SampledRow(row=live.row, rollouts=tuple(sorted(live.rollouts, key=lambda one: one.sample_index)))


def _quarantined(row: Row, reason: str) -> Quarantined:
    return Quarantined(problem_id=row["problem_id"], strategy=row["strategy"], reason=reason)
