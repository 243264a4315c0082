"""Sample and verify a batch of rows on one engine: rows {problem_id, question, answer, strategy} → rollouts.

Plain Python: the engine and the verifier are passed in, so that the logic is testable without either. Verdicts
are found in a thread pool, off the engine's thread; a program that loops delays its own row only.
"""

import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, Protocol

from siked_ray.core.ids import request_id, sampling_seed
from siked_ray.core.prompts import student_prompt, teacher_prompt
from siked_ray.core.rollout import FREE, Rollout
from siked_ray.core.strategy import Strategy, clean_rationale, split_tag
from siked_ray.core.verdict import Judgement, Verdict
from siked_ray.data.encoding import encode_prompt, encode_text
from siked_ray.generation.sampler import RowSampler
from siked_ray.generation.task import GenerationTask, Role, Row


class Sample(Protocol):
    """What an engine returns for one request."""

    @property
    def text(self) -> str: ...
    @property
    def num_tokens(self) -> int: ...
    @property
    def finished(self) -> bool: ...


class Engine(Protocol):
    """The part of an engine that sampling needs."""

    tokenizer: Any

    def submit(
        self,
        prompt_token_ids: Sequence[int],
        *,
        seed: int,
        temperature: float,
        top_p: float,
        max_new_tokens: int,
        stop: Sequence[str] = (),
    ) -> Future[Any]: ...


Judge = Callable[[str, str, str], Judgement]


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """A row that cannot be sampled, and why."""

    problem_id: str
    strategy: str
    reason: str


@dataclass(slots=True)
class _LiveRow:
    row: Row
    prompt: str
    prompt_token_ids: list[int]
    sampler: RowSampler


class BatchSampler:
    """Runs batches of one task. `engine_name` and `max_model_len` describe the engine."""

    def __init__(
        self,
        task: GenerationTask,
        engine: Engine,
        judge: Judge,
        executor: Executor,
        *,
        engine_name: str,
        max_model_len: int,
    ) -> None:
        self._task = task
        self._engine = engine
        self._judge = judge
        self._executor = executor
        self._engine_name = engine_name
        self._max_model_len = max_model_len
        self._strategies = {strategy.name: strategy for strategy in task.strategies}

    def run(self, rows: Sequence[Row]) -> Iterator[Rollout | Quarantined]:
        """Yield each rollout as soon as its verdict is known; rows that cannot be sampled come quarantined."""
        verified: queue.SimpleQueue[tuple[_LiveRow, Rollout] | BaseException] = queue.SimpleQueue()
        num_outstanding = 0
        for row in rows:
            live = self._prepare(row)
            if isinstance(live, Quarantined):
                yield live
            else:
                num_outstanding += self._draw(live, verified)
        while num_outstanding:
            item = verified.get()
            if isinstance(item, BaseException):
                raise item
            live, rollout = item
            live.sampler.add(rollout.sample_index, rollout.verdict)
            num_outstanding += self._draw(live, verified) - 1
            yield rollout

    def _prepare(self, row: Row) -> _LiveRow | Quarantined:
        prompt, token_ids = self._render(row)
        room = self._max_model_len - len(token_ids)
        plan = self._task.plan
        if room < plan.max_new_tokens:
            return Quarantined(
                problem_id=row["problem_id"],
                strategy=row["strategy"],
                reason=f"prompt of {len(token_ids)} tokens leaves {max(room, 0)} of a context of "
                f"{self._max_model_len}, and {plan.max_new_tokens} new tokens are asked for",
            )
        sampler = RowSampler(num_samples=plan.num_samples, ramp=plan.ramp, keep=plan.keep)
        return _LiveRow(row=row, prompt=prompt, prompt_token_ids=token_ids, sampler=sampler)

    def _render(self, row: Row) -> tuple[str, list[int]]:
        """Prompt text and token ids; a forced tag is tokenised as a piece of its own, as in training."""
        tokenizer, templates = self._engine.tokenizer, self._task.templates
        if self._task.role is Role.TEACHER:
            prompt = teacher_prompt(templates, self._strategies[row["strategy"]], row["question"])
            return prompt, encode_prompt(tokenizer, prompt)
        prompt = student_prompt(templates, row["question"])
        token_ids = encode_prompt(tokenizer, prompt)
        if row["strategy"] == FREE:
            return prompt, token_ids
        tag = self._strategies[row["strategy"]].tag
        return prompt + tag, token_ids + encode_text(tokenizer, tag)

    def _draw(self, live: _LiveRow, verified: queue.SimpleQueue[Any]) -> int:
        indices = live.sampler.next_indices()
        for index in indices:
            self._submit(live, index, verified)
        return len(indices)

    def _submit(self, live: _LiveRow, index: int, verified: queue.SimpleQueue[Any]) -> None:
        row, plan = live.row, self._task.plan
        identity = request_id(row["problem_id"], row["strategy"], index, self._task.iteration)
        seed = sampling_seed(self._task.run_seed, identity)

        def verify(future: Future[Any]) -> None:
            try:
                verified.put((live, self._rollout(live, index, identity, seed, future.result())))
            except BaseException as error:
                verified.put(error)

        self._engine.submit(
            live.prompt_token_ids,
            seed=seed,
            temperature=plan.temperature,
            top_p=plan.top_p,
            max_new_tokens=plan.max_new_tokens,
            stop=self._task.templates.stop if self._task.role is Role.TEACHER else (),
        ).add_done_callback(lambda future: self._executor.submit(verify, future))

    def _rollout(self, live: _LiveRow, index: int, identity: str, seed: int, sample: Sample) -> Rollout:
        strategy, text = self._chosen_strategy(live.row["strategy"], sample.text)
        completion = clean_rationale(text)
        judgement = self._verdict(strategy, completion, live.row["answer"], sample.finished)
        return Rollout(
            request_id=identity,
            problem_id=live.row["problem_id"],
            requested=live.row["strategy"],
            strategy=strategy.name if strategy else "none",
            sample_index=index,
            seed=seed,
            prompt=live.prompt,
            completion=completion,
            num_tokens=sample.num_tokens,
            truncated=not sample.finished,
            verdict=judgement.verdict,
            predicted=judgement.predicted,
            reason=judgement.reason,
            model=self._task.model,
            engine=self._engine_name,
        )

    def _chosen_strategy(self, requested: str, text: str) -> tuple[Strategy | None, str]:
        if requested != FREE:
            return self._strategies[requested], text
        name, rationale = split_tag(text)
        strategy = self._strategies.get(name) if name else None
        return (strategy, rationale) if strategy else (None, text)

    def _verdict(self, strategy: Strategy | None, completion: str, answer: str, finished: bool) -> Judgement:
        if not finished:
            reason = f"cut off at {self._task.plan.max_new_tokens} tokens"
            return Judgement(verdict=Verdict.UNPARSED, predicted=None, reason=reason)
        if strategy is None:
            return Judgement(verdict=Verdict.UNPARSED, predicted=None, reason="begins with no known strategy tag")
        return self._judge(strategy.name, completion, answer)
