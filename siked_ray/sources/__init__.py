"""Where rollouts come from: a file for each source, of the name that settings give it, with its class as `SOURCE`."""

from importlib import import_module

from siked_ray.config import Config
from siked_ray.settings import STUDENT, TeacherPart
from siked_ray.sources.own_engines import OwnEngines
from siked_ray.sources.source import Engines, SampledSource, WrittenSource

__all__ = ["Engines", "SampledSource", "WrittenSource", "engines_of", "further", "sampled", "written"]


def sampled(config: Config) -> tuple[SampledSource, ...]:
    """The parts of the teacher whose models are sampled."""
    return tuple(_sampled(part, config) for part in config.teacher_parts() if part.source.is_sampled)


def further(config: Config) -> tuple[SampledSource, ...]:
    """The settings' `models`."""
    return tuple(_sampled(part, config) for part in config.further_models())


def written(config: Config) -> tuple[WrittenSource, ...]:
    """The parts of the teacher whose rationales exist."""
    return tuple(_written(part, config) for part in config.teacher_parts() if not part.source.is_sampled)


def engines_of(config: Config, key: str) -> Engines:
    """The engines of the student (`STUDENT`), of a part of the teacher that is sampled (`TeacherPart.key`), or of one
    of the settings' `models`."""
    if key == STUDENT:
        return OwnEngines(
            own=config.engine,
            cluster=config.cluster,
            trust_remote_code=config.trust_remote_code,
            chat=config.chat_of(STUDENT),
        )
    return next(source.engines for source in (*sampled(config), *further(config)) if source.part.key == key)


def _sampled(part: TeacherPart, config: Config) -> SampledSource:
    source: SampledSource = import_module(f"{__name__}.{part.source.source}").SOURCE(part, config)
    return source


def _written(part: TeacherPart, config: Config) -> WrittenSource:
    source: WrittenSource = import_module(f"{__name__}.{part.source.source}").SOURCE(part, config)
    return source
