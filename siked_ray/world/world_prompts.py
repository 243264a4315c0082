"""The demo's prompts, from the same file as the settings' `prompts: world`."""

from importlib.resources import files

import yaml

from siked_ray.core.prompts import PromptTemplates
from siked_ray.core.strategy import AnswerKind, Demonstration, Strategy

_TEXTS = yaml.safe_load(files("siked_ray").joinpath("prompts", "world.yaml").read_text(encoding="utf-8"))

TEMPLATES = PromptTemplates(teacher=_TEXTS["teacher"], demonstration=_TEXTS["demonstration"], student=_TEXTS["student"])
STRATEGIES = tuple(
    Strategy(
        name=name,
        kind=AnswerKind(texts["kind"]),
        instruction=texts["instruction"],
        demonstrations=tuple(Demonstration(**example) for example in texts["demonstrations"]),
        answer_markers=tuple(texts.get("answer_markers", ())),
    )
    for name, texts in _TEXTS["strategies"].items()
)
