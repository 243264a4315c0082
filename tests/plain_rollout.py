"""A rollout with nothing of note; tests replace the fields they are about."""

from siked_ray.core.rollout import Rollout
from siked_ray.core.verdict import Verdict

PLAIN = Rollout(
    request_id="p cot 0",
    problem_id="p",
    requested="cot",
    ask_id="cot",
    strategy="cot",
    sample_index=0,
    seed=0,
    prompt="",
    completion="",
    num_tokens=1,
    truncated=False,
    verdict=Verdict.WRONG,
    predicted=None,
    reason="",
    model="",
    engine="",
)
