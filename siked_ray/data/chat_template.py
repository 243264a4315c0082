"""Prompts through a model's own chat template, and what can be wrong with that."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from siked_ray.core.chat_format import PLAIN, ChatFormat

#: What templates that write today's date get, so that a prompt is the same whenever it is made.
_TODAY = datetime(2024, 7, 26)
_PROBE = "How much are 3 apples and 4 pears?"


def has_chat_template(tokenizer: Any) -> bool:
    return bool(getattr(tokenizer, "chat_template", None))


def encode_chats(tokenizer: Any, prompts: Sequence[str], chat: ChatFormat) -> list[list[int]]:
    """Token ids of prompts, each said by the user of a chat of its own, up to where the model answers."""
    return [list(_applied(tokenizer, prompt, chat, tokenize=True)) for prompt in prompts]


def chat_problem(tokenizer: Any, chat: ChatFormat) -> str | None:
    """Why prompts cannot be given to the model in this way, as the end of a sentence about it; None where they can."""
    if not has_chat_template(tokenizer):
        return None if chat == PLAIN else "has no chat template, so system_prompt and template_args would be lost"
    template = tokenizer.chat_template
    if isinstance(template, dict) and not {"default", chat.arguments.get("chat_template")} & template.keys():
        names = ", ".join(sorted(template))
        return f"has several chat templates and none called default; set template_args.chat_template to one of {names}"
    unused = [name for name in chat.arguments if name != "chat_template" and name not in str(template)]
    if unused:
        return f"has a chat template without {', '.join(unused)}, which template_args sets"
    try:
        said = _applied(tokenizer, _PROBE, chat, tokenize=False)
    except Exception as error:  # whatever a template raises
        return f"has a chat template that fails: {' '.join(str(error).split())[:300] or type(error).__name__}"
    if _PROBE not in said:
        return "has a chat template that leaves out what the user says"
    if chat.system is not None and chat.system.strip() not in said:
        return "has a chat template that leaves out the system message, so system_prompt would be lost"
    return None


def _applied(tokenizer: Any, prompt: str, chat: ChatFormat, *, tokenize: bool) -> Any:
    return tokenizer.apply_chat_template(
        chat.messages(prompt),
        add_generation_prompt=True,
        tokenize=tokenize,
        return_dict=False,
        strftime_now=_TODAY.strftime,
        **chat.arguments,
    )
