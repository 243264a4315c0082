"""Where only the tag of a free response is decoded: what is looked for, what is kept, what is taken over."""

from dataclasses import replace
from typing import Any

import pytest

from siked_ray.core.ids import request_id, sampling_seed
from siked_ray.core.rollout import FREE, TAG_ALONE
from siked_ray.core.sampling_plan import greedy_plan
from siked_ray.data.storage import Storage
from siked_ray.generation import engine
from siked_ray.generation.durable import RowWriter, compact, finished_rows
from siked_ray.generation.finished import SampledRow
from siked_ray.generation.rendering import render_rows
from siked_ray.generation.tag_alone import take_over
from tests.generation.conftest import make_sink
from tests.generation.test_batch_sampler import row, sampling, task
from tests.generation.test_rendering import STUDENT, Choosy, asked

MAX_NEW_TOKENS = 16
TASK = task(plan=greedy_plan(MAX_NEW_TOKENS))
TAGS = [("cot", [1, 2]), ("pot", [1, 3, 4])]
#: By problem: the tokens that the model begins with, and what it says after each tag that is forced.
BEGUN = {"a": (1, 2, 9), "b": (1, 3, 4), "c": (1, 3), "d": (1, 2, 7), "e": (5, 5, 5)}
SAID = {("d", "cot"): (15, True), ("a", "pot"): (16, False)}


def tag_row(problem: str) -> dict[str, Any]:
    return row(problem, FREE) | {"requested": TAG_ALONE, "ask_id": TAG_ALONE, "tags": TAGS}


def complete(prompt: str, seed: int) -> engine.Sample:
    problem = prompt[2]
    if not prompt.endswith("]:"):
        tokens = BEGUN[problem]
        return engine.Sample(text="", num_prompt_tokens=10, num_tokens=len(tokens), finished=False, token_ids=tokens)
    strategy = prompt[-5:-2]
    num_tokens, finished = SAID.get((problem, strategy), (3, True))
    length = 10 + len(dict(TAGS)[strategy])
    return engine.Sample(text=" yes!", num_prompt_tokens=length, num_tokens=num_tokens, finished=finished)


@pytest.fixture
def sink(tmp_path):
    """With the forced rows of all problems and their tags."""
    sink = make_sink(Storage(str(tmp_path)))
    writer = RowWriter(sink, iter(["x-0.parquet", "x-1.parquet"]))
    rows = [one for problem in BEGUN for one in (row(problem), row(problem, "pot"), tag_row(problem))]
    with sampling(TASK, complete) as (sampler, fake):
        for finished in sampler.run(rows):
            writer.add(finished)
    writer.close()
    assert {request["max_new_tokens"] for request in fake.requests if request["with_token_ids"]} == {3}
    return sink


def test_rows_look_for_the_tags_as_they_are_forced():
    table = render_rows(asked(("7?", TAG_ALONE, None), ("7?", FREE, None)), STUDENT, Choosy())
    first, second = table.to_pylist()
    assert first["tags"] == [("cot", [*map(ord, "[cot]:")]), ("pot", [*map(ord, "[pot]:")])]
    assert second["tags"] is None and first["token_ids"] == second["token_ids"]


def test_what_begins_with_a_tag_and_fits_is_taken_over(sink):
    """c begins with half a tag, d would be cut off with the tag, e has no tag."""
    assert take_over(sink, TASK) == take_over(sink, TASK) == 2
    assert {problem for problem, ask in finished_rows(sink) if ask == FREE} == {"a", "b"}
    stored = sink.storage.read_parquet(compact(sink)).to_pylist()
    assert {one["requested"] for one in stored} == {"cot", "pot", FREE}
    free = {one["problem_id"]: one for one in stored if one["requested"] == FREE}
    forced = {(one["problem_id"], one["requested"]): one for one in stored}
    for problem, strategy, num_tag_tokens in (("a", "cot", 2), ("b", "pot", 3)):
        identity = request_id(problem, FREE, 0, TASK.label)
        twin = forced[problem, strategy]
        changed = {name for name in twin if twin[name] != free[problem][name]}
        assert changed == {"request_id", "requested", "ask_id", "seed", "prompt", "num_tokens", "num_prompt_tokens"}
        assert free[problem]["request_id"] == identity
        assert free[problem]["seed"] == sampling_seed(TASK.run_seed, identity)
        assert free[problem]["num_tokens"] == twin["num_tokens"] + num_tag_tokens
        assert (free[problem]["num_prompt_tokens"], free[problem]["prompt"]) == (10, f"Q {problem}?\n")


def test_a_row_that_does_not_fit_is_quarantined_by_the_whole_response_alone():
    with sampling(TASK, complete, max_model_len=MAX_NEW_TOKENS) as (sampler, _):
        tag, whole = sampler.run([tag_row("a")]), sampler.run([row("a", FREE)])
        assert next(tag) == SampledRow(row=tag_row("a"), rollouts=())
        assert "a context of 16" in next(whole).reason


def test_a_refused_tag_is_nothing():
    def refuse(prompt: str, seed: int) -> engine.Sample:
        raise engine.RequestRejected("no")

    with sampling(replace(TASK), refuse) as (sampler, _):
        assert next(sampler.run([tag_row("a")])) == SampledRow(row=tag_row("a"), rollouts=())
