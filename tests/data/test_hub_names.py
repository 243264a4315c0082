"""The Hub's names and column layouts, with `datasets.load_dataset` replaced: the network is no part of the tests."""

from pathlib import Path

import datasets
import pytest

from siked_ray.core.ids import problem_id
from siked_ray.data import load_problems
from siked_ray.data.loaders.hub import HubName, parse_hub_name
from siked_ray.errors import DataError

GSM8K = {"question": "How many?", "answer": "One and one is <<1+1=2>>2.\n#### 1,002"}
SOCRATIC = {"question": "How many?", "answer": "How many then? ** One and one is <<1+1=2>>2.\n#### 1,002"}
SVAMP = {
    "ID": "chal-1",
    "Body": "Each pack costs 76 dollars. If there is a discount of 25 dollars on each pack",
    "Question": "How much do you pay?",
    "Equation": "( 76.0 - 25.0 )",
    "Answer": "51.0",
    "Type": "Subtraction",
    "question_concat": "Each pack costs 76 dollars. If there is a discount of 25 dollars on each pack How much …?",
}
ASDIV = {
    "body": "He had 13 trees. If he plants 12 more,",
    "question": "how many trees will he have?",
    "solution_type": "Addition",
    "answer": "25 (trees)",
    "formula": "13+12=25",
}
MULTIARITH = {"question": " He had 3 and got 4. How many has he? ", "final_ans": "7"}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("openai/gsm8k", ("openai/gsm8k", "main", None)),
        ("openai/gsm8k:socratic", ("openai/gsm8k", "socratic", None)),
        ("openai/gsm8k:main/train", ("openai/gsm8k", "main", "train")),
        ("openai/gsm8k/test", ("openai/gsm8k", "main", "test")),
        ("ChilleD/SVAMP", ("ChilleD/SVAMP", None, None)),
        ("ChilleD/SVAMP/test", ("ChilleD/SVAMP", None, "test")),
        ("my-org/data.v2:en-us/train[:10%]", ("my-org/data.v2", "en-us", "train[:10%]")),
    ],
)
def test_names(name: str, parts: tuple[str, str | None, str | None]) -> None:
    repository, config, split = parts
    assert parse_hub_name(name) == HubName(repository=repository, config=config, split=split)


@pytest.mark.parametrize(
    "path", ["file", "/abs/path", "../a/b", "./a", "a/b.jsonl", "a/b/c/d", "s3://a/b", "a/b.json.gz"]
)
def test_paths_are_no_names(path: str) -> None:
    assert parse_hub_name(path) is None


@pytest.mark.parametrize(
    ("name", "row", "dataset", "question", "answer"),
    [
        ("openai/gsm8k:main/train", GSM8K, "gsm8k", "How many?", "1002"),
        ("openai/gsm8k:socratic/train", SOCRATIC, "gsm8k", "How many?", "1002"),
        (
            "ChilleD/SVAMP/train",
            SVAMP,
            "svamp",
            "Each pack costs 76 dollars. If there is a discount of 25 dollars on each pack, how much do you pay?",
            "51",
        ),
        (
            "EleutherAI/asdiv/validation",
            ASDIV,
            "asdiv",
            "He had 13 trees. If he plants 12 more, how many trees will he have?",
            "25",
        ),
        ("ChilleD/MultiArith/test", MULTIARITH, "multiarith", "He had 3 and got 4. How many has he?", "7"),
        ("someone/else/train", {"problem": "How many?", "target": 3.0}, "else", "How many?", "3"),
    ],
)
def test_layouts(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    row: dict[str, object],
    dataset: str,
    question: str,
    answer: str,
) -> None:
    table = datasets.Dataset.from_list([row])
    monkeypatch.setattr(datasets, "load_dataset", lambda repository, config, split: table)
    (problem,) = load_problems(name)
    assert (problem.dataset, problem.question, problem.answer) == (dataset, question, answer)
    assert problem.problem_id == problem_id(dataset, question)
    table.to_csv(tmp_path / "else.csv")
    table.to_parquet(tmp_path / "else.parquet")
    table.to_json(tmp_path / "else.jsonl")
    for file in ("else.csv", "else.parquet", "else.jsonl"):
        assert load_problems(str(tmp_path / file)).problems == (problem,)


def test_what_is_asked_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None, str | None]] = []

    def load_dataset(repository: str, config: str | None, split: str | None) -> datasets.Dataset:
        asked.append((repository, config, split))
        return datasets.Dataset.from_list([GSM8K])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    load_problems("openai/gsm8k", split="train")
    load_problems("openai/gsm8k:socratic/test")
    load_problems("openai/gsm8k/test", split="test")
    assert asked == [
        ("openai/gsm8k", "main", "train"),
        ("openai/gsm8k", "socratic", "test"),
        ("openai/gsm8k", "main", "test"),
    ]
    with pytest.raises(DataError, match="names the split 'test', but `split` is 'train'"):
        load_problems("openai/gsm8k/test", split="train")


def test_a_split_has_to_be_chosen_where_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    one = datasets.Dataset.from_list([GSM8K])
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, split: datasets.DatasetDict(train=one, test=one))
    with pytest.raises(
        DataError, match=r"openai/gsm8k has the splits 'train', 'test'\. Name one of them: openai/gsm8k/train"
    ):
        load_problems("openai/gsm8k")
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, split: datasets.DatasetDict(validation=one))
    assert len(load_problems("EleutherAI/asdiv")) == 1


def test_a_missing_network_ends_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*_: object, split: str | None) -> datasets.Dataset:
        raise ConnectionError("Couldn't reach 'openai/gsm8k' on the Hub\n(LocalEntryNotFoundError)")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError) as failure:
        load_problems("openai/gsm8k:main/train")
    assert str(failure.value) == (
        "'openai/gsm8k:main/train' is no local file or directory, and loading it from the Hugging Face Hub failed: "
        "Couldn't reach 'openai/gsm8k' on the Hub (LocalEntryNotFoundError). "
        "Check the name (owner/name:config/split) and the network, or give the path of a local copy."
    )


def test_a_local_path_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").write_text('{"question": "How many?", "answer": 4}')
    monkeypatch.chdir(tmp_path)
    assert load_problems("owner/name")[0].answer == "4"
