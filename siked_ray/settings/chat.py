"""How prompts are given to a model that chats."""

from typing import Annotated

from pydantic import Field, field_validator

from siked_ray.core.chat_format import Argument, ChatFormat
from siked_ray.settings.base import ADDED, NonEmptyText, Settings, refuse_our_own

#: Arguments of transformers' `apply_chat_template` itself.
_TAKEN = {
    *("conversation", "tools", "documents", "add_generation_prompt", "continue_final_message", "tokenize", "padding"),
    *("truncation", "max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs"),
    *("messages", "strftime_now"),
}


class ChatSettings(Settings):
    """How prompts are given to a model that chats."""

    system_prompt: Annotated[NonEmptyText | None, ADDED] = Field(
        default=None, description="A system message before every prompt."
    )
    template_args: Annotated[dict[str, Argument], ADDED] = Field(
        default={}, description="Arguments of the model's chat template, such as `enable_thinking: false`."
    )

    @field_validator("template_args")
    @classmethod
    def _arguments_are_the_templates(cls, arguments: dict[str, Argument]) -> dict[str, Argument]:
        refuse_our_own(arguments, _TAKEN)
        return arguments

    def chat(self) -> ChatFormat:
        """The same as plain values."""
        return ChatFormat(system=self.system_prompt, arguments=dict(self.template_args))
