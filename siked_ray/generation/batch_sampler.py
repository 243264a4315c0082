"""Sample and verify rows of requests (`siked_ray.generation.task.Row`) on one engine → rollouts, row by row.

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
from siked_ray.core.reasoning import Reasoning
from siked_ray.core.rollout import Rollout, RolloutWithMargin, reasoning_columns
from siked_ray.core.verdict import Judgement, Verdict
from siked_ray.generation.engine import Engine, Prompt, RequestRejected, Sample, SamplingParameters
from siked_ray.generation.finished import Quarantined, SampledRow, not_sampled
from siked_ray.generation.row_sampler import RowSampler
from siked_ray.generation.said import Said, read_sample
from siked_ray.generation.tag_alone import num_tokens_to_decode, strategy_begun_with
from siked_ray.generation.task import GenerationTask, Row
from siked_ray.verification.soundness import reasoning_of

_TAG_ALONE = Judgement(verdict=Verdict.UNPARSED, predicted=None, reason="its tag alone was decoded")


class Judge(Protocol):
    """What sampling needs of a verifier."""

    def judge(self, strategy: str, completion: str, answer: str) -> Judgement:
        """The verdict on a completion."""

    def judge_at_once(self, strategy: str, completion: str, answer: str) -> Judgement | None:
        """The same, or None where that would have to wait for another process."""


@dataclass(slots=True)
class _LiveRow:
    """`finished` takes the row in the end, or what its call fails of."""

    row: Row
    prompt: Prompt
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
            if isinstance(live, _LiveRow):
                self._draw(live)
            else:
                finished.put(live)
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
        row = draw.live.row
        if row["tags"] is not None:
            return self._rollout(draw, arrived, self._said_by_tag(row, arrived), _TAG_ALONE)
        said = read_sample(arrived.text, row["requested"], self._strategies, self._task.thought_tags)
        judgement = self._judged_at_once(said, row["answer"], arrived)
        if judgement is not None:
            return self._rollout(draw, arrived, said, judgement)
        judging = self._executor.submit(self._judged, draw, arrived, said)
        judging.add_done_callback(lambda judged: self._arrivals.put((draw, judged)))
        return None

    def _said_by_tag(self, row: Row, sample: Sample) -> Said:
        begun_with = strategy_begun_with(row, sample)
        strategy = self._strategies[begun_with] if begun_with else None
        return Said(strategy=strategy, completion="", num_thought_chars=0)

    def _arrived(self, draw: _Draw, outcome: Rollout | RequestRejected) -> None:
        """Count a sample in, and draw more or finish the row."""
        live = draw.live
        if isinstance(outcome, RequestRejected):
            live.rejection = str(outcome)
            live.sampler.give_up(draw.index)
        else:
            live.rollouts.append(outcome)
            live.sampler.add(draw.index, is_accepted=outcome.is_accepted(self._task.plan.accept))
            self._draw(live)
        if not live.sampler.outstanding:
            self._engine.forget(live.prompt)
            live.finished.put(_finished(live))

    def _prepare(self, row: Row, finished: _Finished) -> _LiveRow | Quarantined | SampledRow:
        if row["refusal"] is not None:
            return not_sampled(row, row["refusal"])
        prompt = Prompt(text=row["prompt"], token_ids=row["token_ids"])
        plan, context = self._task.plan, self._engine.max_model_len
        if prompt.token_ids is not None and context is not None:
            room = context - len(prompt.token_ids)
            if room < plan.max_new_tokens:
                return not_sampled(
                    row,
                    f"prompt of {len(prompt.token_ids)} tokens leaves {max(room, 0)} of a context of {context}, "
                    f"and {plan.max_new_tokens} new tokens are asked for",
                )
        sampler = RowSampler(num_samples=plan.num_samples, ramp=plan.ramp, keep=plan.keep)
        return _LiveRow(row=row, prompt=prompt, sampler=sampler, finished=finished)

    def _draw(self, live: _LiveRow) -> None:
        for index in live.sampler.next_indices():
            self._submit(live, index)

    def _submit(self, live: _LiveRow, index: int) -> None:
        row, plan = live.row, self._task.plan
        identity = request_id(row["problem_id"], row["ask_id"], index, self._task.label)
        draw = _Draw(live, index, identity, sampling_seed(self._task.run_seed, identity))
        parameters = SamplingParameters(
            seed=draw.seed,
            temperature=plan.temperature,
            top_p=plan.top_p,
            max_new_tokens=num_tokens_to_decode(row) if row["tags"] else plan.max_new_tokens,
            stop=self._task.stop,
            with_token_ids=row["tags"] is not None,
            margin=plan.margin,
        )
        self._engine.submit(live.prompt, parameters).add_done_callback(
            lambda future: self._arrivals.put((draw, future))
        )

    def _judged(self, draw: _Draw, sample: Sample, said: Said) -> Rollout:
        assert said.strategy is not None, "what has no strategy is judged at once"
        judgement = self._judge.judge(said.strategy.name, said.completion, draw.live.row["answer"])
        return self._rollout(draw, sample, said, judgement)

    def _rollout(self, draw: _Draw, sample: Sample, said: Said, judgement: Judgement) -> Rollout:
        live = draw.live
        rollout = Rollout(
            request_id=draw.identity,
            problem_id=live.row["problem_id"],
            requested=live.row["requested"],
            ask_id=live.row["ask_id"],
            strategy=said.strategy.name if said.strategy else "none",
            sample_index=draw.index,
            seed=draw.seed,
            prompt=live.prompt.text,
            completion=said.completion,
            num_thought_chars=said.num_thought_chars,
            num_prompt_tokens=sample.num_prompt_tokens,
            num_tokens=sample.num_tokens,
            truncated=not sample.finished,
            verdict=judgement.verdict,
            predicted=judgement.predicted,
            reason=judgement.reason,
            model=self._task.model,
            engine=self._engine.name,
            **reasoning_columns(_reasoning(live.row["question"], said, sample, judgement)),
        )
        return rollout if self._task.plan.margin is None else RolloutWithMargin.of(rollout, sample.margin)

    def _judged_at_once(self, said: Said, answer: str, sample: Sample) -> Judgement | None:
        if not sample.finished:
            cut_off = f"cut off at {self._task.plan.max_new_tokens} tokens"
            reason = f"not finished; the server says {sample.ending!r}" if sample.ending else cut_off
            return Judgement(verdict=Verdict.UNPARSED, predicted=None, reason=reason)
        if said.strategy is None:
            return Judgement(verdict=Verdict.UNPARSED, predicted=None, reason="begins with no known strategy tag")
        return self._judge.judge_at_once(said.strategy.name, said.completion, answer)


def _reasoning(question: str, said: Said, sample: Sample, judgement: Judgement) -> Reasoning | None:
    if said.strategy is None or not sample.finished:
        return None
    return reasoning_of(said.strategy, question, said.completion, judgement.predicted or "")


def _finished(live: _LiveRow) -> SampledRow | Quarantined:
    if live.rejection is not None:
        return not_sampled(live.row, live.rejection)
    return SampledRow(row=live.row, rollouts=tuple(sorted(live.rollouts, key=lambda one: one.sample_index)))
