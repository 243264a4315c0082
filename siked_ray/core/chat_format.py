"""How a prompt becomes a chat where the model has a template for chats."""

from collections.abc import Mapping
from dataclasses import dataclass, field

#: Value of an argument of a chat template.
Argument = bool | int | float | str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatFormat:
    """A system message before the prompt (None: none), and arguments of the template, such as `enable_thinking`."""

    system: str | None = None
    arguments: Mapping[str, Argument] = field(default_factory=dict)

    def messages(self, prompt: str) -> list[dict[str, str]]:
        """The chat in which the user says the prompt."""
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*system, {"role": "user", "content": prompt}]


PLAIN = ChatFormat()
