"""What the rows of requests hold: prompts and tokens exactly as in training, and why a row cannot be sampled."""

import pyarrow as pa
import pytest

from siked_ray.core.asks import Rendered, ask_id
from siked_ray.core.chat_format import ChatFormat
from siked_ray.core.prompts import PromptTemplates, StudentPrompts, TeacherPrompts
from siked_ray.core.rollout import FREE
from siked_ray.core.strategy import Demonstration
from siked_ray.data.encoding import encode_forced, encode_prompt, load_tokenizer
from siked_ray.data.storage import Storage
from siked_ray.generation.rendering import Tokenising, render_rows, request_blocks
from siked_ray.generation.requests import missing_requests
from tests.generation.conftest import STRATEGIES, PlainPrompts, make_asks, write_problems

TEMPLATES = PromptTemplates(
    teacher="{instruction} {demonstrations}Q {question}",
    demonstration="Q {question} A {rationale} ",
    student="Q {question}\n",
    stop=("\nQ",),
)
STUDENT = StudentPrompts(templates=TEMPLATES, strategies=STRATEGIES)
CHAT = "{% for one in messages %}<s>{{ one.content }}</s>{% endfor %}{% if add_generation_prompt %}A: {% endif %}"


def asked(*rows: tuple[str, str, str | None]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "problem_id": f"p{index}",
                "question": question,
                "answer": "1",
                "requested": requested,
                "context": context,
                "ask_id": ask_id(requested, context),
            }
            for index, (question, requested, context) in enumerate(rows)
        ]
    )


def test_a_context_makes_an_ask_another_one():
    assert ask_id("cot") == ask_id("cot", None) == "cot"
    assert ask_id("cot", "so far") != ask_id("cot", "further")
    assert ask_id("cot", "so far").startswith("cot@") and len(ask_id("cot", "so far")) == len("cot@") + 8


def test_the_student_is_forced_or_free():
    assert STUDENT("7?", "cot", None) == Rendered(prompt="Q 7?\n", forced="[cot]:")
    assert STUDENT("7?", FREE, None) == Rendered(prompt="Q 7?\n", forced="")
    assert STUDENT.stop == ()


def test_the_teacher_sees_examples_of_the_strategy_and_stops():
    from dataclasses import replace

    shown = replace(STRATEGIES[1], demonstrations=(Demonstration(question="1?", rationale="one"),))
    teacher = TeacherPrompts(templates=TEMPLATES, strategies=(STRATEGIES[0], shown))
    assert teacher("7?", "cot", None) == Rendered(prompt="Use cot. Q 7?")
    assert teacher("7?", "pot", None) == Rendered(prompt="Use pot. Q 1? A one Q 7?")
    assert teacher.stop == ("\nQ",)


@pytest.mark.parametrize("template", [None, CHAT])
def test_tokens_are_those_of_training(tiny_model, template):
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = template
    rows = asked(("What is 3 plus 4?", "cot", None), ("What is 3 plus 4?", FREE, None), ("How many?", "pot", None))
    table = render_rows(rows, STUDENT, tokenizer)
    for question, requested, row in zip(
        rows["question"].to_pylist(), rows["requested"].to_pylist(), table.to_pylist(), strict=True
    ):
        forced = "" if requested == FREE else f"[{requested}]:"
        assert row["token_ids"] == encode_forced(tokenizer, f"Q {question}\n", forced)
        assert (row["prompt"], row["refusal"]) == (f"Q {question}\n{forced}", None)


def test_a_chat_is_that_of_training(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = CHAT
    chat = ChatFormat(system="3 plus 4")
    (row,) = render_rows(asked(("What is 3 plus 4?", FREE, None)), STUDENT, tokenizer, chat).to_pylist()
    assert row["token_ids"] == encode_prompt(tokenizer, "Q What is 3 plus 4?\n", chat)
    assert row["token_ids"] != encode_prompt(tokenizer, "Q What is 3 plus 4?\n")


class Choosy:
    """Encodes characters, but no text with a zero byte; how often each text came is counted."""

    chat_template = None
    eos_token_id = -1

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, texts: list[str], **_) -> dict:
        if any("\0" in text for text in texts):
            raise ValueError("a zero byte")
        self.seen += texts
        return {"input_ids": [[*map(ord, text)] for text in texts]}


def test_a_prompt_that_cannot_be_tokenised_is_refused_alone():
    rows = asked(("good", "cot", None), ("bad\0", "cot", None), ("fine", FREE, None))
    table = render_rows(rows, STUDENT, Choosy())
    assert table["refusal"].to_pylist() == [None, "The prompt cannot be tokenised: ValueError('a zero byte')", None]
    assert [ids is None for ids in table["token_ids"].to_pylist()] == [False, True, False]


def test_strategies_of_a_problem_share_the_work():
    tokenizer = Choosy()
    render_rows(asked(*(("7?", name, None) for name in ("cot", "pot", FREE))), STUDENT, tokenizer)
    assert tokenizer.seen == ["Q 7?\n", "[cot]:", "[pot]:"]


def test_a_server_gets_text_and_cannot_be_told_how_a_response_begins():
    rows = asked(("7?", "cot", None), ("7?", FREE, None))
    assert render_rows(rows, STUDENT, None).select(["token_ids", "refusal"]).to_pylist() == [
        {"token_ids": None, "refusal": "a server cannot be told how a response begins"},
        {"token_ids": None, "refusal": None},
    ]
    assert render_rows(rows, PlainPrompts(), None)["refusal"].to_pylist() == [None, None]


@pytest.mark.engines
def test_tasks_tokenise_in_processes_of_their_own(tiny_model, tmp_path, small_ray):
    import ray

    storage = Storage(str(tmp_path / "run"))
    asks = make_asks(write_problems(storage, "train", ["What is 3 plus 4?"] * 3), requested=("cot",))
    blocks, _ = missing_requests(storage, asks, set())
    log = tmp_path / "logs" / "prompts.log"
    tokenising = Tokenising(model=tiny_model, trust_remote_code=False, log_path=str(log))
    rows = [row for block, _ in request_blocks(storage, asks, blocks, tokenising) for row in ray.get(block).to_pylist()]
    expected = encode_forced(load_tokenizer(tiny_model), "Q What is 3 plus 4?\n[cot]:", "")
    assert [row["token_ids"] for row in rows] == [expected] * 3
    assert log.exists()
