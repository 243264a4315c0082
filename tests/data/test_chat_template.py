"""Prompts through a model's chat template: what is said, and what is refused before anything starts."""

import pytest
from transformers import AutoTokenizer

from siked_ray.core.chat_format import PLAIN, ChatFormat
from siked_ray.data.chat_template import chat_problem
from siked_ray.data.encoding import encode_prompt

EVERYBODY = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</s>{% endfor %}<assistant>"
THINKING = EVERYBODY + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
DATED = "{{ strftime_now('%d %b %Y') }} " + EVERYBODY
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role') }}{% endif %}" + EVERYBODY
USER_ONLY = "{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}{% endfor %}"
BRIEF = ChatFormat(system="Be brief.")
NO_THOUGHTS = ChatFormat(arguments={"enable_thinking": False})


@pytest.fixture
def tokenizer(tiny_model: str):
    return AutoTokenizer.from_pretrained(tiny_model)


def said(tokenizer, template, chat: ChatFormat) -> str:
    tokenizer.chat_template = template
    return tokenizer.decode(encode_prompt(tokenizer, "What is 3 plus 4?", chat))


def test_a_system_message_stands_before_the_prompt(tokenizer):
    plain, brief = (said(tokenizer, EVERYBODY, chat) for chat in (PLAIN, ChatFormat(system="3 plus 4")))
    assert "3 plus 4" in brief.replace(plain, "")
    assert len(brief) > len(plain) and brief.endswith(plain[plain.index("What") :])


def test_arguments_reach_the_template(tokenizer):
    open_ended, closed = (said(tokenizer, THINKING, chat) for chat in (PLAIN, NO_THOUGHTS))
    assert closed.startswith(open_ended) and len(closed) > len(open_ended)


def test_a_prompt_is_the_same_tomorrow(tokenizer, monkeypatch: pytest.MonkeyPatch):
    from transformers.utils import chat_template_utils

    class Tomorrow(chat_template_utils.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2031, 5, 5)

    today = said(tokenizer, DATED, PLAIN)
    monkeypatch.setattr(chat_template_utils, "datetime", Tomorrow)
    tokenizer.chat_template = DATED + " "  # templates are compiled once
    assert tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False).startswith("05 May")
    assert said(tokenizer, DATED, PLAIN) == today


@pytest.mark.parametrize(
    ("template", "chat", "problem"),
    [
        (None, PLAIN, None),
        (EVERYBODY, PLAIN, None),
        (EVERYBODY, BRIEF, None),
        (THINKING, NO_THOUGHTS, None),
        (NO_SYSTEM, PLAIN, None),
        ({"default": EVERYBODY, "tool_use": USER_ONLY}, PLAIN, None),
        ({"rag": EVERYBODY, "tool_use": USER_ONLY}, ChatFormat(arguments={"chat_template": "rag"}), None),
        (None, BRIEF, "no chat template"),
        (None, NO_THOUGHTS, "no chat template"),
        (EVERYBODY, NO_THOUGHTS, "without enable_thinking"),
        (NO_SYSTEM, BRIEF, "No system role"),
        (USER_ONLY, BRIEF, "leaves out the system message"),
        ("{{ messages[1]['content'] }}", PLAIN, "fails"),
        ("{% if %}", PLAIN, "fails"),
        ("<user><assistant>", PLAIN, "leaves out what the user says"),
        ({"rag": EVERYBODY, "tool_use": USER_ONLY}, PLAIN, "one of rag, tool_use"),
    ],
)
def test_what_cannot_work_is_said(tokenizer, template, chat: ChatFormat, problem: str | None):
    tokenizer.chat_template = template
    found = chat_problem(tokenizer, chat)
    assert found is None if problem is None else (found is not None and problem in found)
