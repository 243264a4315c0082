"""SIKeD in one file: self-guided iterative knowledge distillation (arXiv 2410.18574, algorithm 1), written to be read.

    make demo                                         # once: it makes the two tiny models
    .venv/bin/python examples/siked_in_one_file.py    # minutes, on one core

All of the method, with transformers' `generate` and a plain torch loop: no cluster, no engine, nothing that continues.
The package lends what is not the method: problems, prompts, tokens, verifier. At scale: siked_ray/recipes/siked.py.
"""

import argparse
import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup, set_seed

from siked_ray.config import load_config
from siked_ray.core.problem import Problem
from siked_ray.core.prompts import student_prompt, student_response, teacher_prompt
from siked_ray.core.strategy import Strategy, clean_rationale, split_tag
from siked_ray.core.verdict import Verdict
from siked_ray.data.encoding import encode_prompt, encode_response, encode_text, load_tokenizer
from siked_ray.driver.world_models import cached_model
from siked_ray.verification.verifier import Verifier
from siked_ray.world.word_problems import load_world
from siked_ray.world.world_prompts import STRATEGIES, TEMPLATES

NUM_SAMPLES = 4  # K; the paper has 10
SAMPLED, GREEDY = {"do_sample": True, "temperature": 0.7, "top_p": 0.95, "top_k": 0}, {"do_sample": False}
MAX_NEW_TOKENS, PROMPTS_PER_BATCH = 80, 256
EPOCHS, LEARNING_RATE, WARMUP_STEPS, ROWS_PER_STEP = 3, 1e-3, 50, 6  # small steps are what learns fast at this size

Kept = dict[tuple[str, str], str]  # (problem id, strategy) → its first correct rationale: S^s or L^s, of all s


class Model(NamedTuple):
    network: Any
    tokenizer: Any


def siked(teacher: Model, student: Model, train: list[Problem], test: list[Problem], num_iterations: int) -> None:
    """The loop (section 3): distil the teacher, which is iteration 0, then let the student guide itself.

    The paper stops when accuracy gains little; here the number of iterations is given, so that `test` selects nothing.
    """
    with Verifier(STRATEGIES, num_workers=1) as verifier:
        from_teacher = sample(teacher, ask_teacher, train, verifier)
        if not from_teacher:
            raise SystemExit("The teacher solves none of the problems, so there is nothing to learn from.")
        from_student: Kept = {}  # so the first mixture is the teacher's rows alone: plain distillation
        for iteration in range(num_iterations + 1):
            if iteration > 0:
                from_student = sample(student, ask_student, train, verifier)
            mixture = mix(from_teacher, from_student)
            fine_tune(student, mixture, train)  # goes on from the weights that it has
            show(iteration, mixture, from_student, *evaluate(student, test, verifier))


def ask_teacher(teacher: Model, strategy: Strategy, question: str) -> list[int]:
    """Token ids of a few-shot prompt: the teacher is told how to solve, and shown it. Its answer has no tag."""
    return encode_prompt(teacher.tokenizer, teacher_prompt(TEMPLATES, strategy, question))


def ask_student(student: Model, strategy: Strategy | None, question: str) -> list[int]:
    """The student sees the question alone, and its response begins with a tag: `[cot]:`, `[l2m]:` or `[pot]:`. Written
    here, the tag forces the strategy; left out (None), the student writes it and so chooses."""
    prompt = encode_prompt(student.tokenizer, student_prompt(TEMPLATES, question))
    return prompt + (encode_text(student.tokenizer, strategy.tag) if strategy else [])


def sample(model: Model, ask: Callable[..., list[int]], problems: list[Problem], verifier: Verifier) -> Kept:
    """Up to K samples per (problem, strategy). The first correct one is kept, and after it no more are asked for.

    Correct is what has the right answer. A rationale that reaches it by luck is kept too: nothing here reads the steps.
    """
    kept: Kept = {}
    for _ in range(NUM_SAMPLES):
        unsolved = [(p, s) for p in problems for s in STRATEGIES if (p.problem_id, s.name) not in kept]
        completions = complete(model, [ask(model, s, p.question) for p, s in unsolved], SAMPLED)
        for (problem, strategy), (text, truncated) in zip(unsolved, completions, strict=True):
            if is_correct(verifier, problem, strategy.name, text, truncated):
                kept[problem.problem_id, strategy.name] = clean_rationale(text)
    return kept


def is_correct(verifier: Verifier, problem: Problem, strategy: str, text: str, truncated: bool) -> bool:
    """Whether the answer that the text states (`pot`: that the program computes) equals the gold one."""
    judgement = verifier.judge(strategy, clean_rationale(text), problem.answer, truncated=truncated)
    return judgement.verdict is Verdict.CORRECT


@torch.no_grad()
def complete(model: Model, prompts: list[list[int]], how: dict[str, Any]) -> list[tuple[str, bool]]:
    """(completion, whether it was cut off at MAX_NEW_TOKENS) of each prompt."""
    end, completions = model.tokenizer.eos_token_id, []
    for start in range(0, len(prompts), PROMPTS_PER_BATCH):
        batch = prompts[start : start + PROMPTS_PER_BATCH]
        width = max(len(prompt) for prompt in batch)  # padding stands on the left: a completion follows its prompt
        ids = torch.tensor([[end] * (width - len(prompt)) + prompt for prompt in batch])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in batch])
        both = model.network.generate(ids, attention_mask=mask, max_new_tokens=MAX_NEW_TOKENS, pad_token_id=end, **how)
        for new in both[:, width:].tolist():
            length = new.index(end) if end in new else None
            completions.append((model.tokenizer.decode(new[:length]), length is None))
    return completions


def mix(from_teacher: Kept, from_student: Kept) -> Kept:
    """`adaptive`: D^s = S^s ∪ {L^s(q) : q ∉ Q_S^s}: the teacher's rationale only where the student has none of its own.

    The teacher's share of the rows, α, is thus a result and no setting: it falls as the student learns (figure 2).
    """
    return from_teacher | from_student  # where both have a rationale, the one on the right stays: the student's


def kl_to_student(mixture: Kept, from_student: Kept) -> float:
    """KL(P_train ‖ P_student) over the strategies, in nats, with P_train = α·P_teacher + (1−α)·P_student (figure 2)."""
    train, own = (Counter(strategy for _, strategy in rows) for rows in (mixture, from_student))
    shares = [(n / train.total(), max(own[strategy] / own.total(), 1e-6)) for strategy, n in train.items()]
    return sum(p * math.log(p / q) for p, q in shares)


def fine_tune(student: Model, mixture: Kept, problems: list[Problem]) -> None:
    """The student learns to write `"[cot]: rationale"`: first to choose, then to solve with what it chose.

    The loss is on the response only. The paper trains LoRA and merges it; a model this small is trained whole.
    """
    tokenizer, network = student.tokenizer, student.network.train()
    prompts = {p.problem_id: encode_prompt(tokenizer, student_prompt(TEMPLATES, p.question)) for p in problems}
    examples = [
        (prompts[problem_id], encode_response(tokenizer, student_response(strategy, rationale)))
        for (problem_id, strategy), rationale in mixture.items()
    ]
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    num_steps = EPOCHS * math.ceil(len(examples) / ROWS_PER_STEP)
    schedule = get_cosine_schedule_with_warmup(optimizer, WARMUP_STEPS, num_steps)
    for _ in range(EPOCHS):
        random.shuffle(examples)
        for start in range(0, len(examples), ROWS_PER_STEP):
            batch = examples[start : start + ROWS_PER_STEP]
            width = max(len(p + t) for p, t in batch)  # padding stands on the right, where no token looks at it
            ids = [(p + t + [tokenizer.eos_token_id] * width)[:width] for p, t in batch]
            labels = [([-100] * len(p) + t + [-100] * width)[:width] for p, t in batch]  # −100 is without a loss
            network(input_ids=torch.tensor(ids), labels=torch.tensor(labels)).loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    network.eval()


def evaluate(student: Model, test: list[Problem], verifier: Verifier) -> tuple[dict[str, float], Counter[str]]:
    """Greedy accuracies, the strategy free and each one forced (section 4), and what was chosen freely (figure 1)."""
    accuracies, choices = {}, Counter[str]()
    for forced in (None, *STRATEGIES):
        completions = complete(student, [ask_student(student, forced, p.question) for p in test], GREEDY)
        num_correct = 0
        for problem, (text, truncated) in zip(test, completions, strict=True):
            chosen, rationale = (forced.name, text) if forced else split_tag(text)
            choices[chosen or "none"] += not forced
            num_correct += is_correct(verifier, problem, chosen or "none", rationale, truncated)
        accuracies[forced.name if forced else "free"] = num_correct / len(test)
    return accuracies, choices


def show(iteration: int, mixture: Kept, own: Kept, accuracies: dict[str, float], choices: Counter[str]) -> None:
    num_teacher = len(mixture) - len(own)
    rows = f"α {num_teacher / len(mixture):.2f}, rows {num_teacher} teacher + {len(own)} student"
    accurate = ", ".join(f"{name} {accuracy:.1%}" for name, accuracy in accuracies.items())
    chosen = ", ".join(f"{strategy.name} {choices[strategy.name]}" for strategy in STRATEGIES)
    kl = f", KL {kl_to_student(mixture, own):.4f}" if own else ""
    print(f"iteration {iteration}: {rows}{kl} | accuracy {accurate} | chooses {chosen}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="SIKeD on the demo's tiny models.")
    parser.add_argument("--problems", type=int, default=400, help="to learn from, of 3,000")
    parser.add_argument("--test-problems", type=int, default=150, help="of 300")
    parser.add_argument("--iterations", type=int, default=2, help="after iteration 0")
    parser.add_argument("--teacher", type=Path, help="folder of a model; the demo's without it")
    parser.add_argument("--student", type=Path, help="likewise")
    args = parser.parse_args()
    demo = load_config(Path(__file__).parents[1] / "jobs" / "demo.yaml")
    folders = [args.teacher or cached_model("world:teacher", demo), args.student or cached_model("world:student", demo)]
    for folder in folders:
        if not (folder / "config.json").exists():
            parser.exit(2, f"There is no model in {folder}: run `make demo` once, which makes both.\n")
    set_seed(0)
    torch.set_num_threads(1)  # more gain nothing at this size
    teacher, student = (Model(AutoModelForCausalLM.from_pretrained(f), load_tokenizer(str(f))) for f in folders)
    train, test = load_world("world:train")[: args.problems], load_world("world:test")[: args.test_problems]
    siked(teacher, student, train, test, args.iterations)


if __name__ == "__main__":
    main()
