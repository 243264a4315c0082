"""Whether student and teacher can be held against each other token by token."""

from siked_ray.config import Config
from siked_ray.data.same_tokens import ends_differ, tokens_differ
from siked_ray.errors import ConfigError, ModelError
from siked_ray.generation.model_facts import ModelFacts
from siked_ray.recipes import objectives_of
from siked_ray.sources import sampled
from siked_ray.sources.openai import OpenAISource


def check_same_tokens(
    config: Config, student: ModelFacts, teacher: ModelFacts | None, *, offline_is_fine: bool = False
) -> list[str]:
    """What to know of the pair, as sentences. Raises ModelError where a text has other token ids for the two, and
    ConfigError where workers cannot load the teacher."""
    specs = [one for one in objectives_of(config).values() if one.with_teacher or one.beside_teacher]
    if not specs:
        return []
    objective = ", ".join(dict.fromkeys(one.kind for one in specs))
    if config.top_k and config.teacher_parts()[0].source.source == "openai":
        return _check_server(config, student, config.top_k, offline_is_fine)
    if teacher is None or any(part.source.source != "vllm" for part in config.teacher_parts()):
        raise ConfigError(
            f"The objective {objective} needs one teacher that engines or training workers of our own can load; set "
            "teacher.source to vllm without teacher.strategies, or take cross_entropy alone."
        )
    if not (student.known and teacher.known):
        return []
    if difference := tokens_differ(student.tokenizer, teacher.tokenizer):
        raise ModelError(
            f"The objective {objective} holds student and teacher against each other token by token, and their "
            f"tokenizers differ. Of {student.name} and {teacher.name} {difference}. Take a teacher with the student's "
            "tokenizer, or the objective cross_entropy: the student then learns from the teacher's texts, as SIKeD "
            "does, whatever their tokenizers are."
        )
    return [*_of_ends(student, teacher), *_of_templates(student, teacher)]


def _check_server(config: Config, student: ModelFacts, top_k: int, offline_is_fine: bool) -> list[str]:
    (source,) = sampled(config)
    if student.known and isinstance(source, OpenAISource):
        source.check_scoring(student.tokenizer, top_k, offline_is_fine=offline_is_fine)
    return []


def _of_ends(student: ModelFacts, teacher: ModelFacts) -> list[str]:
    if not ends_differ(student.tokenizer, teacher.tokenizer):
        return []
    ends = [one.tokenizer.eos_token for one in (student, teacher)]
    return [
        f"the student ends with {ends[0]}, its teacher with {ends[1]}: what the teacher gives to its own end counts "
        "for the student's"
    ]


def _of_templates(student: ModelFacts, teacher: ModelFacts) -> list[str]:
    templates = [getattr(one.tokenizer, "chat_template", None) for one in (student, teacher)]
    if templates[0] == templates[1]:
        return []
    return ["student and teacher have different chat templates: training asks both in the student's"]
