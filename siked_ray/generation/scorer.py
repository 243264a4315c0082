"""A teacher's probabilities at the tokens of training rows: an actor that scores, and durable parts of what it found.

The teacher reads its own prompt for the row's problem and strategy, then the row's response, whoever wrote it. Nothing
is sampled and nothing judged. What is known of each token of the response is `payload.TopK`; nothing is known of the
strategy's tag, which a teacher never writes, and of the end where the teacher's prompts are plain text: few-shot
prompts end in a stop text, not in an end-of-sequence token.
"""

import itertools
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siked_ray.core.asks import Render
from siked_ray.core.chat_format import PLAIN, ChatFormat
from siked_ray.data.chat_template import has_chat_template
from siked_ray.data.encoding import encode_prompts, encode_responses, encode_texts, load_tokenizer, split_tag
from siked_ray.data.model_folder import local_model
from siked_ray.data.payload import TopK, joined
from siked_ray.data.storage import Storage
from siked_ray.data.teacher_columns import OWN_IDS, TEACHER_END, teacher_columns
from siked_ray.generation.engine import EngineFailure, OpenEngine, RequestRejected
from siked_ray.generation.scoring_calls import ScoringCall, rows_of, scored_ids
from siked_ray.logs import redirect_output

#: Rows of one part on disk.
_ROWS_PER_PART = 64
_MAX_STARTS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoringTask:
    """Rows of the Parquet file `rows`, whose questions are in the table `problems`; parts go to `folder`. With
    `plain_prompts` a prompt is what it is, whatever chat template there is. `own_texts` are read by the model that
    wrote them: with their tags, to their ends, and the ids of their tokens are stored too."""

    storage: Storage
    rows: str
    problems: str
    folder: str
    render: Render
    top_k: int
    chat: ChatFormat = PLAIN
    trust_remote_code: bool = False
    plain_prompts: bool = False
    own_texts: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """Figures of a call: rows that it scored, their tokens, those of which something is known, rows that the teacher
    could not read, tokens of the texts that it read."""

    rows: int = 0
    tokens: int = 0
    known_tokens: int = 0
    rejected: int = 0
    read_tokens: int = 0

    def __add__(self, other: "Scored") -> "Scored":
        return Scored(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


class Scorer:
    """Made a Ray actor; each call may be repeated, and then does what is not durable yet."""

    def __init__(self, open_engine: OpenEngine, model: str, log_path: str, tokenizer: str | None = None) -> None:
        """`tokenizer` names one, where the model is a server's word."""
        redirect_output(Path(log_path))
        self._open = open_engine
        self._model = model if tokenizer else local_model(model)
        self._tokenizer = local_model(tokenizer) if tokenizer else self._model
        self._engine: Any = open_engine(self._model)
        self._texts: _Texts | None = None

    def ready(self) -> str:
        """Name and version of the engine."""
        return self._engine.name

    def score(self, task: ScoringTask, call: ScoringCall, known: frozenset[str]) -> Scored:
        """Score the rows of a call, but those whose ids are `known`; all are durable on return."""
        for attempt in itertools.count(1):
            try:
                return self._score(task, call, known)
            except EngineFailure:
                if attempt == _MAX_STARTS:
                    raise
                self._engine.close()
                self._engine = self._open(self._model)
        raise AssertionError("the loop above ends by itself")

    def close(self) -> None:
        self._engine.close()

    def _score(self, task: ScoringTask, call: ScoringCall, known: frozenset[str]) -> Scored:
        if self._texts is None or self._texts.task != task:
            self._texts = _Texts(task, self._tokenizer)
        done = known | scored_ids(task.storage, task.folder, call.prefix)
        rows = [row for row in rows_of(task.storage, task.rows, call) if row["request_id"] not in done]
        texts = self._texts.of(rows)
        futures = [
            None if text.first is None else self._engine.score(text.ids, text.first, task.top_k) for text in texts
        ]
        total = Scored()
        for start in range(0, len(rows), _ROWS_PER_PART):
            which = slice(start, start + _ROWS_PER_PART)
            pairs = zip(texts[which], futures[which], strict=True)
            payloads = [_payload(text, future) for text, future in pairs]
            ids = [row["request_id"] for row in rows[which]]
            name = f"{call.prefix}{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.parquet"
            own_ids = [text.response for text in texts[which]] if task.own_texts else None
            _write(task, self._texts.end, name, ids, payloads, own_ids)
            total += _figures(texts[which], payloads)
        return total


@dataclass(frozen=True, slots=True)
class _Text:
    """Token ids of a prompt, and from place `first` on of a response behind the `num_tag` tokens of its tag and without
    `num_left` at its end. `first` is None where there is nothing to score. `response` is all of it."""

    ids: list[int]
    first: int | None
    response: list[int]
    num_tag: int
    num_left: int


class _Texts:
    """What the teacher reads for rows."""

    def __init__(self, task: ScoringTask, model: str) -> None:
        self.task = task
        self._tokenizer = load_tokenizer(model, trust_remote_code=task.trust_remote_code)
        if task.plain_prompts:
            self._tokenizer.chat_template = None
        table = task.storage.read_columns(task.problems, ["problem_id", "question"])
        self._questions = dict(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))

    def of(self, rows: Sequence[dict[str, str]]) -> list[_Text]:
        if not rows:
            return []
        render, tokenizer = self.task.render, self._tokenizer
        asked = [render(self._questions[row["problem_id"]], row["strategy"], None).prompt for row in rows]
        prompts = encode_prompts(tokenizer, asked, self.task.chat)
        responses = encode_responses(tokenizer, [row["response"] for row in rows])
        tags = encode_texts(tokenizer, [split_tag(row["response"])[0] for row in rows])
        lengths = map(len, tags)
        texts = zip(prompts, responses, lengths, strict=True)
        if self.task.own_texts:
            return [_own_text(*text) for text in texts]
        ends = has_chat_template(tokenizer)
        return [_text(*text, scores_end=ends) for text in texts]

    @property
    def end(self) -> int:
        """The model's end-of-sequence token."""
        return int(self._tokenizer.eos_token_id)


def _text(prompt: list[int], response: list[int], num_tag: int, *, scores_end: bool) -> _Text:
    """A response as a teacher would write it: without a tag."""
    rest = response[num_tag:] if scores_end else response[num_tag:-1]
    return _Text(
        ids=[*prompt, *rest],
        first=len(prompt) if prompt and rest else None,
        response=response,
        num_tag=num_tag,
        num_left=0 if scores_end else 1,
    )


def _own_text(prompt: list[int], response: list[int], num_tag: int) -> _Text:
    """A response as the one who reads it wrote it."""
    first = len(prompt) + num_tag
    return _Text(ids=[*prompt, *response], first=first or None, response=response, num_tag=num_tag, num_left=0)


def _payload(text: _Text, future: Any) -> TopK | None:
    """What is known of all tokens of a response; None where the teacher cannot read it."""
    if future is None:
        return None
    try:
        found: TopK = future.result()
    except RequestRejected:
        return None
    return joined([None, found, None], [text.num_tag, len(found), text.num_left])


def _write(
    task: ScoringTask,
    end: int,
    name: str,
    ids: Sequence[str],
    payloads: Sequence[TopK | None],
    own_ids: Sequence[list[int]] | None,
) -> None:
    import pyarrow as pa

    table = pa.table({"request_id": ids, **teacher_columns(payloads)})
    if own_ids is not None:
        table = table.append_column(OWN_IDS, pa.array(own_ids, pa.list_(pa.int32())))
    task.storage.write_parquet(f"{task.folder}/{name}", table.replace_schema_metadata({TEACHER_END: str(end)}))


def _figures(texts: Sequence[_Text], payloads: Sequence[TopK | None]) -> Scored:
    known = [payload for payload in payloads if payload is not None]
    return Scored(
        rows=len(known),
        tokens=sum(map(len, known)),
        known_tokens=sum(int(payload.is_known_R.sum()) for payload in known),
        rejected=len(payloads) - len(known),
        read_tokens=sum(len(text.ids) for text in texts),
    )
