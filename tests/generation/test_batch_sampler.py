import hashlib
import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siked_ray.core.asks import ask_id
from siked_ray.core.ids import request_id, sampling_seed
from siked_ray.core.reasoning import Accept, Steps
from siked_ray.core.rollout import FREE, Rollout
from siked_ray.core.sampling_plan import SamplingPlan, greedy_plan
from siked_ray.core.strategy import AnswerKind, Strategy
from siked_ray.core.verdict import Judgement, Verdict
from siked_ray.generation import engine
from siked_ray.generation.batch_sampler import BatchSampler
from siked_ray.generation.finished import Quarantined
from siked_ray.generation.task import GenerationTask

STRATEGIES = tuple(Strategy(name=name, kind=AnswerKind.TEXT, instruction=f"Use {name}.") for name in ("cot", "pot"))
PLAN = SamplingPlan(num_samples=6, ramp=(1, 1, 2), keep=1, temperature=0.7, top_p=0.95, max_new_tokens=8)


def Sample(text: str, num_tokens: int = 3, finished: bool = True) -> engine.Sample:
    return engine.Sample(text=text, num_prompt_tokens=2, num_tokens=num_tokens, finished=finished)


class ShufflingEngine:
    """Answers (prompt, seed) with `complete(prompt, seed)`, one request after the other, in a random order."""

    name = "fake 1"

    def __init__(self, complete, order: random.Random, max_model_len: int | None = 100) -> None:
        self.max_model_len = max_model_len
        self.requests: list[dict] = []
        self.forgotten: list[engine.Prompt] = []
        self._complete = complete
        self._order = order
        self._pending: list[tuple[Future, str, int]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def submit(self, prompt: engine.Prompt, parameters: engine.SamplingParameters) -> Future:
        future: Future = Future()
        assert prompt not in self.forgotten
        prompt = prompt.text
        with self._changed:
            self.requests.append({"prompt": prompt, **asdict(parameters)})
            self._pending.append((future, prompt, parameters.seed))
            self._changed.notify()
        return future

    def forget(self, prompt: engine.Prompt) -> None:
        self.forgotten.append(prompt)

    def _answer(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closed)
                if self._closed:
                    return
                future, prompt, seed = self._pending.pop(self._order.randrange(len(self._pending)))
            try:
                future.set_result(self._complete(prompt, seed))
            except Exception as error:
                future.set_exception(error)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()


def judge(strategy: str, completion: str, answer: str) -> Judgement:
    """Right when the completion ends in the answer."""
    correct = completion.strip().endswith(answer)
    return Judgement(verdict=Verdict.CORRECT if correct else Verdict.WRONG, predicted=completion[-1:], reason="fake")


class FunctionJudge:
    """Judges by a function; `pot` in threads of its own, as programs are."""

    def __init__(self, judge) -> None:
        self.judge = judge

    def judge_at_once(self, strategy: str, completion: str, answer: str) -> Judgement | None:
        return None if strategy == "pot" else self.judge(strategy, completion, answer)


def task(plan: SamplingPlan = PLAN, label: int | str = 1, stop: tuple[str, ...] = ()) -> GenerationTask:
    return GenerationTask(
        label=label,
        model="student",
        weights="student",
        run_seed=42,
        strategies=STRATEGIES,
        stop=stop,
        plan=plan,
        program_timeout_s=1.0,
    )


def row(problem: str, strategy: str = "cot", question: str | None = None, context: str | None = None) -> dict:
    """A token is a character."""
    prompt = f"Q {question or f'{problem}?'}\n" + ("" if strategy == FREE else f"[{strategy}]:")
    return {
        "problem_id": problem,
        "question": question or f"{problem}?",
        "answer": "!",
        "requested": strategy,
        "context": context,
        "ask_id": ask_id(strategy, context),
        "prompt": prompt,
        "token_ids": [*map(ord, prompt)],
        "refusal": None,
        "tags": None,
    }


@contextmanager
def sampling(
    the_task: GenerationTask, complete, *, judge=judge, order: int = 0, max_model_len: int | None = 100
) -> Iterator[tuple[BatchSampler, ShufflingEngine]]:
    fake = ShufflingEngine(complete, random.Random(order), max_model_len)
    with ThreadPoolExecutor(2) as executor:
        sampler = BatchSampler(the_task, fake, FunctionJudge(judge), executor)
        try:
            yield sampler, fake
        finally:
            sampler.close()
            fake.close()


def sample(the_task: GenerationTask, rows: list[dict], complete, **options) -> list[Rollout | Quarantined]:
    with sampling(the_task, complete, **options) as (sampler, _):
        items = list(sampler.run(rows))
    return [one for item in items for one in ([item] if isinstance(item, Quarantined) else item.rollouts)]


def random_model(share_correct: float, share_cut_off: float, salt: int):
    """A completion as a pure function of (prompt, seed); right with the given probability."""

    def complete(prompt: str, seed: int) -> Sample:
        digest = hashlib.sha256(f"{salt} {prompt} {seed}".encode()).digest()
        text = f" {digest.hex()[:6]}" + ("!" if digest[0] / 256 < share_correct else "?")
        return Sample(text=text, num_tokens=len(text), finished=digest[1] / 256 >= share_cut_off)

    return complete


def first_correct(rollouts: list[Rollout]) -> dict[tuple[str, str], str]:
    """What the method keeps: per (problem, strategy) the correct sample of the lowest index."""
    in_order = sorted(rollouts, key=lambda one: one.sample_index, reverse=True)
    return {(one.problem_id, one.strategy): one.request_id for one in in_order if one.verdict is Verdict.CORRECT}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 1000),
    share_correct=st.sampled_from([0.05, 0.2, 0.5, 0.9]),
    share_cut_off=st.sampled_from([0.0, 0.3]),
    num_samples=st.integers(1, 12),
    ramp=st.lists(st.integers(1, 4), min_size=1, max_size=4),
)
def test_stopping_early_keeps_what_all_samples_would_keep(
    seed: int, share_correct: float, share_cut_off: float, num_samples: int, ramp: list[int]
):
    rows = [row(str(problem), strategy) for problem in range(4) for strategy in ("cot", "pot")]
    model = random_model(share_correct, share_cut_off, seed)
    kept, drawn = {}, {}
    for keep in (1, None):
        plan = replace(PLAN, num_samples=num_samples, ramp=tuple(ramp), keep=keep)
        rollouts = sample(task(plan), rows, model, order=seed + (keep or 0))
        kept[keep] = first_correct(rollouts)
        drawn[keep] = {one.request_id: one for one in rollouts}
        assert len(drawn[keep]) == len(rollouts), "no request twice"
        assert all(0 <= one.sample_index < num_samples for one in rollouts)
    assert kept[1] == kept[None]
    assert len(drawn[None]) == len(rows) * num_samples
    assert drawn[1].items() <= drawn[None].items(), "the same samples, only fewer"


def test_stopping_early_saves_samples():
    rows = [row(str(problem)) for problem in range(20)]
    assert len(sample(task(), rows, lambda prompt, seed: Sample(" !"))) == 20
    assert len(sample(task(), rows, lambda prompt, seed: Sample(" ?"))) == 20 * PLAN.num_samples


def test_requests_do_not_depend_on_the_order_of_rows_or_on_batches():
    rows = [row(str(problem), strategy) for problem in range(6) for strategy in ("cot", "pot", FREE)]
    model = random_model(0.3, 0.1, 7)
    once = sample(task(), rows, model, order=1)
    shuffled = random.Random(3).sample(rows, len(rows))
    batches = [sample(task(), shuffled[i : i + 5], model, order=i) for i in range(0, len(rows), 5)]
    in_batches = [rollout for batch in batches for rollout in batch]
    assert sorted(once, key=lambda one: one.request_id) == sorted(in_batches, key=lambda one: one.request_id)


def test_ids_and_seeds_are_those_of_the_content():
    with sampling(task(label=3), lambda prompt, seed: Sample(" ?")) as (sampler, fake):
        ((sampled),) = sampler.run([row("p", "pot")])
        rollouts = sampled.rollouts
    assert sorted(one.sample_index for one in rollouts) == list(range(PLAN.num_samples))
    for one in rollouts:
        assert one.request_id == request_id("p", "pot", one.sample_index, 3)
        assert one.seed == sampling_seed(42, one.request_id)
    assert {request["seed"] for request in fake.requests} == {one.seed for one in rollouts}


def test_a_rollout_says_what_was_asked_and_what_came():
    (rollout,) = sample(task(greedy_plan(8)), [row("p", "pot")], lambda prompt, seed: Sample(" answer!\n", 5))
    assert rollout == Rollout(
        request_id=request_id("p", "pot", 0, 1),
        problem_id="p",
        requested="pot",
        ask_id="pot",
        strategy="pot",
        sample_index=0,
        seed=rollout.seed,
        prompt="Q p?\n[pot]:",
        completion="answer!",
        num_prompt_tokens=2,
        num_tokens=5,
        truncated=False,
        verdict=Verdict.CORRECT,
        predicted="!",
        reason="fake",
        model="student",
        engine="fake 1",
        steps=Steps(stated=0, true=0, reaches_answer=True),
        sound=True,
    )


def test_a_sample_that_is_right_by_luck_is_not_enough_where_reasoning_has_to_be_sound():
    """The third sample is the first that follows from what it states."""
    texts = [" 1 + 1 = 3, so it is 2!", " Let me guess!", " 1 + 1 = 2, so it is 2!", " never drawn!"]
    right = Judgement(verdict=Verdict.CORRECT, predicted="2", reason="")

    def drawn(accept: Accept) -> list[Rollout]:
        said = iter(texts)
        plan = replace(PLAN, ramp=(1,), accept=accept)
        return sample(task(plan), [row("p")], lambda prompt, seed: Sample(next(said)), judge=lambda *_: right)

    assert len(drawn(Accept.ANSWER)) == 1
    rollouts = drawn(Accept.SOUND)
    assert [one.steps for one in rollouts] == [
        Steps(stated=1, true=0, reaches_answer=True),
        Steps(stated=0, true=0, reaches_answer=False),
        Steps(stated=1, true=1, reaches_answer=True),
    ]
    assert [one.sound for one in rollouts] == [False, False, True]


def test_what_was_cut_off_or_has_no_strategy_says_nothing_of_its_reasoning():
    (cut,) = sample(task(greedy_plan(8)), [row("p")], lambda prompt, seed: Sample(" 1 + 1 = 2", finished=False))
    (none,) = sample(task(greedy_plan(8)), [row("p", FREE)], lambda prompt, seed: Sample("1 + 1 = 2!"))
    assert [(one.steps, one.uses_question_numbers, one.sound) for one in (cut, none)] == [(None, None, None)] * 2


def test_asks_with_other_contexts_have_ids_of_their_own():
    rows = [row("p", "pot"), row("p", "pot", context="so far"), row("p", "pot", context="further")]
    for label in (1, "attempt_2_of_01"):
        rollouts = sample(task(greedy_plan(8), label), rows, lambda prompt, seed: Sample(" ?"))
        expected = {request_id("p", ask, 0, label) for ask in map(ask_id, ["pot"] * 3, [None, "so far", "further"])}
        assert {one.request_id for one in rollouts} == expected
        assert {one.requested for one in rollouts} == {"pot"}


def test_the_engine_gets_the_plan_and_the_stop_texts():
    for prompt, stop in (("Q p?\n[cot]:", ()), ("Q p?\n[cot]:", ("\nQ",))):
        with sampling(task(stop=stop), lambda prompt, seed: Sample(" !")) as (sampler, fake):
            list(sampler.run([row("p")]))
        (request,) = fake.requests
        assert request.pop("seed") >= 0
        assert request == {
            "prompt": prompt,
            "temperature": 0.7,
            "top_p": 0.95,
            "max_new_tokens": 8,
            "stop": stop,
            "with_token_ids": False,
            "margin": None,
        }


def test_a_completion_that_was_cut_off_is_never_correct():
    rollouts = sample(task(), [row("p")], lambda prompt, seed: Sample(" looks right!", finished=False))
    assert len(rollouts) == PLAN.num_samples
    assert {one.verdict for one in rollouts} == {Verdict.UNPARSED}
    assert {one.predicted for one in rollouts} == {None}
    assert all(one.truncated for one in rollouts)
    assert "8 tokens" in rollouts[0].reason


def test_a_completion_that_a_server_ended_is_never_correct_and_says_so():
    cut = engine.Sample(text=" !", num_prompt_tokens=2, num_tokens=1, finished=False, ending="content_filter")
    (rollout,) = sample(task(greedy_plan(8)), [row("p")], lambda prompt, seed: cut)
    assert (rollout.verdict, rollout.truncated) == (Verdict.UNPARSED, True)
    assert "content_filter" in rollout.reason and "tokens" not in rollout.reason


@pytest.mark.parametrize(
    ("text", "strategy", "completion", "verdict"),
    [
        ("[pot]: x!", "pot", "x!", Verdict.CORRECT),
        (" [cot]: x?", "cot", "x?", Verdict.WRONG),
        ("[guess]: x!", "none", "[guess]: x!", Verdict.UNPARSED),
        ("x!", "none", "x!", Verdict.UNPARSED),
        ("", "none", "", Verdict.UNPARSED),
    ],
)
def test_the_student_chooses_its_own_tag(text: str, strategy: str, completion: str, verdict: Verdict):
    (rollout,) = sample(task(greedy_plan(8)), [row("p", FREE)], lambda prompt, seed: Sample(text))
    assert (rollout.requested, rollout.strategy) == (FREE, strategy)
    assert (rollout.completion, rollout.verdict) == (completion, verdict)
    assert rollout.prompt == "Q p?\n", "no tag is forced"


def test_a_forced_completion_is_not_searched_for_a_tag():
    (rollout,) = sample(task(greedy_plan(8)), [row("p", "cot")], lambda prompt, seed: Sample("[pot]: x!"))
    assert (rollout.strategy, rollout.completion) == ("cot", "[pot]: x!")


def test_a_prompt_without_room_for_an_answer_is_quarantined_and_the_others_go_on():
    fits = "x" * (100 - 8 - len("Q \n[cot]:"))
    rows = [row("short"), row("long", question=fits + "x"), row("just", question=fits)]
    items = sample(task(), rows, lambda prompt, seed: Sample(" !"), max_model_len=100)
    (quarantined,) = [item for item in items if isinstance(item, Quarantined)]
    assert (quarantined.problem_id, quarantined.ask_id) == ("long", "cot")
    assert "93 tokens" in quarantined.reason and "8 new tokens" in quarantined.reason
    assert {item.problem_id for item in items if isinstance(item, Rollout)} == {"short", "just"}


def test_no_rows_no_rollouts():
    assert sample(task(), [], lambda prompt, seed: Sample(" !")) == []


def test_a_failure_of_the_engine_is_raised():
    def complete(prompt: str, seed: int) -> Sample:
        if "3?" in prompt:
            raise RuntimeError("out of memory")
        return Sample(" !")

    with pytest.raises(RuntimeError, match="out of memory"):
        sample(task(), [row(str(problem)) for problem in range(5)], complete)


@pytest.mark.parametrize("strategy", ["cot", "pot"])
def test_a_failure_of_the_judge_is_raised(strategy: str):
    def broken(strategy: str, completion: str, answer: str) -> Judgement:
        raise RuntimeError("no sandbox")

    with pytest.raises(RuntimeError, match="no sandbox"):
        sample(task(), [row("p", strategy)], lambda prompt, seed: Sample(" !"), judge=broken)


def test_the_judge_sees_strategy_completion_and_gold():
    seen = []

    def recording(strategy: str, completion: str, answer: str) -> Judgement:
        seen.append((strategy, completion, answer))
        return judge(strategy, completion, answer)

    rows = [row("p", "pot"), row("q", FREE)]
    sample(task(greedy_plan(8)), rows, lambda prompt, seed: Sample("[cot]: x!"), judge=recording)
    assert sorted(seen) == [("cot", "x!", "!"), ("pot", "[cot]: x!", "!")]


def test_a_request_that_the_engine_refuses_quarantines_its_row_alone():
    def complete(prompt: str, seed: int) -> engine.Sample:
        if "bad" in prompt:
            raise engine.RequestRejected("too odd")
        return Sample(" ?")

    refused = row("zero") | {"prompt": "", "token_ids": None, "refusal": "a prompt with a zero byte"}
    items = sample(task(), [row("good"), row("bad"), refused], complete)
    refused = {item.problem_id: item.reason for item in items if isinstance(item, Quarantined)}
    assert refused == {"bad": "too odd", "zero": "a prompt with a zero byte"}
    assert [item.problem_id for item in items if isinstance(item, Rollout)] == ["good"] * PLAN.num_samples


def test_where_a_server_counts_tokens_no_prompt_is_too_long():
    rows = [row("p", question="x" * 500) | {"token_ids": None}]
    (rollout,) = sample(task(greedy_plan(8)), rows, lambda *_: Sample(" !"), max_model_len=None)
    assert rollout.verdict is Verdict.CORRECT


def test_a_row_comes_whole_and_as_soon_as_it_is_finished():
    with sampling(task(), lambda prompt, seed: Sample(" !" if "q?" in prompt else " ?")) as (sampler, fake):
        rows = list(sampler.run([row("p"), row("q")]))
        assert [prompt.text for prompt in fake.forgotten] == [one.rollouts[0].prompt for one in rows]
    assert {one.row["problem_id"]: len(one.rollouts) for one in rows} == {"p": PLAN.num_samples, "q": 1}
    for one in rows:
        assert [rollout.sample_index for rollout in one.rollouts] == list(range(len(one.rollouts)))


def test_thoughts_are_neither_judged_nor_stored():
    """A thought that ends in the answer makes nothing right; an answer after wrong thoughts is."""
    texts = {
        "lucky": "<think>It is !</think> It is ?",
        "right": "<think>It is ?</think> It is !",
        "endless": "<think>!",
    }
    with sampling(task(), lambda prompt, seed: Sample(texts[prompt[2:].partition("?")[0]])) as (sampler, _):
        done = {one.row["problem_id"]: one.rollouts for one in sampler.run([row(name) for name in texts])}
    assert {name: one[-1].verdict for name, one in done.items()} == {
        "lucky": Verdict.WRONG,
        "right": Verdict.CORRECT,
        "endless": Verdict.WRONG,
    }
    assert {one.completion for rollouts in done.values() for one in rollouts} == {"It is ?", "It is !", ""}
    assert done["right"][0].num_thought_chars == len("<think>It is ?</think>")
