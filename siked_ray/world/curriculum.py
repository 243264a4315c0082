"""What the demo's two models are trained on from scratch: ordered (prompt, response pieces) examples.

The order is the curriculum: drills first, then worked problems with a few drills among them. Each piece
of a response is encoded on its own; the end-of-sequence token follows the last.
"""

from dataclasses import dataclass
from random import Random

from siked_ray.core.ids import content_hash
from siked_ray.world.drills import drills
from siked_ray.world.problems import WorldProblem, bootstrap_corpus
from siked_ray.world.prompts import STRATEGIES, student_prompt, teacher_prompt
from siked_ray.world.settings import Pretraining, PromptForm


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A prompt and its response in pieces; the loss is on the response and the end of sequence."""

    prompt: str
    response: tuple[str, ...]


def curriculum(settings: Pretraining) -> list[Example]:
    """Examples in training order, a function of the settings alone; none of train or test among them.

    The strategy of each problem is drawn uniformly: a base student knows the tags but has no skill at
    choosing between them.
    """
    rng = Random(int(content_hash("curriculum", settings.corpus_seed), 16))
    exercises = [
        Example(prompt=prompt, response=(response,))
        for prompt, response in drills(settings.num_first_drills + settings.num_mixed_drills, settings.corpus_seed)
    ]
    problems = bootstrap_corpus(settings.num_problems, settings.corpus_seed)
    mixed = [_worked(problem, settings.prompt_form, rng) for problem in problems]
    mixed += exercises[settings.num_first_drills :]
    rng.shuffle(mixed)
    return exercises[: settings.num_first_drills] + mixed


def _worked(problem: WorldProblem, form: PromptForm, rng: Random) -> Example:
    strategy = rng.choice(STRATEGIES)
    rationale = " " + problem.rationales[strategy.name]
    if form is PromptForm.TEACHER:
        return Example(prompt=teacher_prompt(strategy, problem.question), response=(rationale,))
    return Example(prompt=student_prompt(problem.question), response=(f" {strategy.tag}", rationale))
