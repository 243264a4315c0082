"""The settings of a run: strict models, each with its default in exactly this place, a file per section.

Unknown keys are refused, instances do not change. Settings objects stop at the stage boundary: what the stages call
takes plain values. `siked_ray.config` reads and writes them.
"""

from siked_ray.settings.engine import EngineSettings
from siked_ray.settings.run import Config
from siked_ray.settings.student import STUDENT
from siked_ray.settings.teacher import TEACHER, TeacherPart, TeacherSource
from siked_ray.settings.training import TRAINING_PRESETS, TrainingSettings

__all__ = [
    "STUDENT",
    "TEACHER",
    "TRAINING_PRESETS",
    "Config",
    "EngineSettings",
    "TeacherPart",
    "TeacherSource",
    "TrainingSettings",
]
