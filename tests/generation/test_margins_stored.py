"""Margins are asked for and stored where a stage wants them, and nowhere else."""

from dataclasses import replace
from pathlib import Path

import pytest

from siked_ray.core.margin import Margin
from siked_ray.core.rollout import RolloutWithMargin
from siked_ray.data.schemas import empty_table, kind_of_rollouts
from siked_ray.data.storage import Storage
from siked_ray.generation.durable import RowWriter, compact, finished_rows
from tests.generation.conftest import make_sink
from tests.generation.test_batch_sampler import PLAN, Sample, row, sampling, task
from tests.generation.test_durable import names, sampled


@pytest.mark.parametrize("margin", [None, Margin.MEAN])
def test_a_sample_keeps_its_margin_where_it_was_asked_for(margin: Margin | None):
    plan = replace(PLAN, num_samples=1, margin=margin)
    with sampling(task(plan), lambda *_: replace(Sample(" The answer is 1."), margin=0.5)) as (sampler, engine):
        (finished,) = sampler.run([row("p")])
    assert [request["margin"] for request in engine.requests] == [margin]
    (rollout,) = finished.rollouts
    assert getattr(rollout, "margin", "none at all") == ("none at all" if margin is None else 0.5)


def test_the_column_is_there_in_parts_and_in_what_is_made_of_them(tmp_path: Path):
    sink = replace(make_sink(Storage(str(tmp_path))), columns=kind_of_rollouts(Margin.TAG))
    writer = RowWriter(sink, names("w"))
    for problem, margin in (("p", 2.5), ("q", None)):
        one = sampled(problem, num_samples=1)
        writer.add(replace(one, rollouts=tuple(RolloutWithMargin.of(rollout, margin) for rollout in one.rollouts)))
        writer.flush()
    writer.close()
    assert finished_rows(sink) == {("p", "cot"), ("q", "cot")}
    rows = sink.storage.read_parquet(compact(sink))
    assert str(rows.schema.field("margin").type) == "float" and rows["margin"].to_pylist() == [2.5, None]


def test_other_stages_have_the_columns_that_they_had(tmp_path: Path):
    sink = make_sink(Storage(str(tmp_path)))
    writer = RowWriter(sink, names("w"))
    writer.add(sampled("p"))
    writer.close()
    assert "margin" not in sink.storage.read_parquet(compact(sink)).column_names
    with_margin = empty_table("rollouts_with_margin").column_names
    assert with_margin == [*empty_table("rollouts").column_names, "margin"] and kind_of_rollouts(None) == "rollouts"
