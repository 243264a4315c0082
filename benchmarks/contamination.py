"""What the contamination gate finds: in known data, of test questions that were changed, and how fast.

    python benchmarks/contamination.py FOLDER [--tests 100000] [--problems 500000]

FOLDER has gsm8k_train.jsonl, gsm8k_test.jsonl, SVAMP.json, MultiArith.json and ASDiv.xml as their authors publish them,
and `teachers/` with svamp.gpt-4.jsonl and multiarith.gpt-4.jsonl, whose rows say their split, or no such folder.
Seconds are of this process's own time.
"""

import argparse
import random
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from siked_ray.data import load_problems
from siked_ray.data.contamination import SHARE, Likeness, QuestionIndex
from siked_ray.data.ngrams import N
from siked_ray.data.question_words import numbers_of, words_of

PAIRS = (
    ("gsm8k_train.jsonl", "gsm8k_test.jsonl"),
    ("gsm8k_train.jsonl", "SVAMP.json"),
    ("gsm8k_train.jsonl", "MultiArith.json"),
    ("gsm8k_train.jsonl", "ASDiv.xml"),
    ("SVAMP.json", "ASDiv.xml"),
    ("MultiArith.json", "ASDiv.xml"),
    ("teachers/svamp.gpt-4.jsonl#split=train", "teachers/svamp.gpt-4.jsonl#split=test"),
    ("teachers/multiarith.gpt-4.jsonl#split=train", "teachers/multiarith.gpt-4.jsonl#split=test"),
    ("world:train", "world:test"),
)
CHANGED = ("gsm8k_test.jsonl", "ASDiv.xml", "SVAMP.json", "MultiArith.json", "world:test")
SPELLED = {
    "2": "two",
    "3": "three",
    "4": "four",
    "5": "five",
    "10": "ten",
    "12": "twelve",
    "20": "twenty",
    "25": "twenty-five",
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--tests", type=int, default=100_000)
    arguments.add_argument("--problems", type=int, default=500_000)
    options = arguments.parse_args()
    known_data(options.folder)
    changed_questions(options.folder)
    speed(questions(options.folder, PAIRS[0][0]), options.tests, options.problems)


def questions(folder: Path, name: str) -> list[str]:
    return [one.question for one in load_problems(name if name.startswith("world:") else f"{folder}/{name}")]


def known_data(folder: Path) -> None:
    """Problems of the first set that are in the second, by stricter rules and by ours."""
    headings = ["problems", "of", "equal", "any 8-gram", "half of the 8-grams", "and the same numbers", "alike"]
    print(f"| {' | '.join(headings)} |\n|{'---|' * len(headings)}")
    for train, test in PAIRS:
        if train.startswith("teachers/") and not (folder / train.partition("#")[0]).is_file():
            continue
        learnt, tests = questions(folder, train), questions(folder, test)
        ours = Counter(one.likeness for one in QuestionIndex({"t": tests}).matches(learnt))
        counts = [ours[Likeness.EQUAL], *stricter(learnt, tests), ours[Likeness.ALIKE]]
        cells = " | ".join(f"{count:,}" for count in (len(learnt), *counts))
        print(f"| {train} in {test} | {cells} |")


def stricter(learnt: Sequence[str], tests: Sequence[str]) -> tuple[int, int, int]:
    """Of those that are not equal: how many share an 8-gram, half of the shorter one's, and that and the numbers."""
    known = [tuple(words_of(test)) for test in tests]
    having = defaultdict(set)
    for index, words in enumerate(known):
        for gram in grams(words):
            having[gram].add(index)
    equal, found = set(known), [0, 0, 0]
    for words in map(tuple, map(words_of, learnt)):
        own = grams(words)
        shared = Counter(index for gram in own for index in having.get(gram, ()))
        if words in equal or not shared:
            continue
        half = [index for index, count in shared.items() if count >= SHARE * min(len(own), len(grams(known[index])))]
        same = [index for index in half if numbers_of(words) == numbers_of(known[index])]
        found = [found[0] + 1, found[1] + bool(half), found[2] + bool(same)]
    return found[0], found[1], found[2]


def grams(words: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + N]) for start in range(len(words) - N + 1)}


def changed_questions(folder: Path) -> None:
    """Of test questions that were changed, the share that is found."""
    print(f"\n| changed | {' | '.join(CHANGED)} |\n|{'---|' * (len(CHANGED) + 1)}")
    for name, change in CHANGES.items():
        cells = []
        for test in CHANGED:
            tests, rng = questions(folder, test), random.Random(1)
            changed = [" ".join(change(question.split(), rng)) for question in tests]
            pairs = [
                (before, after) for before, after in zip(tests, changed, strict=True) if before.split() != after.split()
            ]
            found = sum(1 for _ in QuestionIndex({"t": tests}).matches(after for _, after in pairs))
            cells.append(f"{found / len(pairs):.1%}" if pairs else "–")
        print(f"| {name} | {' | '.join(cells)} |")


def other_words(count: int) -> Callable[[list[str], random.Random], list[str]]:
    def change(words: list[str], rng: random.Random) -> list[str]:
        plain = [index for index, word in enumerate(words) if word.isalpha()]
        chosen = rng.sample(plain, min(count, len(plain)))
        return ["something" if index in chosen else word for index, word in enumerate(words)]

    return change


def other_number(words: list[str], rng: random.Random) -> list[str]:
    numbers = [index for index, word in enumerate(words) if word.strip("$.,?").isdigit()]
    chosen = rng.choice(numbers) if numbers else None
    return [str(rng.randrange(1000, 9999)) if index == chosen else word for index, word in enumerate(words)]


CHANGES: dict[str, Callable[[list[str], random.Random], list[str]]] = {
    "case and punctuation": lambda words, _: [word.strip(".,?!").upper() for word in words],
    "numbers in words": lambda words, _: [SPELLED.get(word, word) for word in words],
    "an instruction before it": lambda words, _: ["Solve", "the", "following", "problem:", *words],
    "another word": other_words(1),
    "two other words": other_words(2),
    "another number": other_number,
}


def speed(known: Sequence[str], num_tests: int, num_problems: int) -> None:
    """Questions of GSM8K's length, a third of whose words are others."""
    before = peak_mb()
    tests = list(made(known, num_tests, 1))
    texts, start = peak_mb(), time.process_time()
    index = QuestionIndex({"t": tests})
    print(
        f"\nindex of {num_tests:,}: {time.process_time() - start:.1f} s, {peak_mb() - texts:.0f} MB at most beside them"
    )
    spent, found = 0.0, 0
    for first in range(0, num_problems, 50_000):
        problems = list(made(known, 50_000, first + 2))
        start = time.process_time()
        found += sum(1 for _ in index.matches(problems))
        spent += time.process_time() - start
    rate = num_problems / spent
    print(f"{num_problems:,} problems: {rate:,.0f} a second, {found} found, {peak_mb() - before:.0f} MB at most")


def made(known: Sequence[str], number: int, seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    others = [word for question in known[:2000] for word in question.split()]
    for _ in range(number):
        words = rng.choice(known).split()
        for _ in range(len(words) // 3):
            words[rng.randrange(len(words))] = rng.choice(others)
        yield " ".join(words)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
