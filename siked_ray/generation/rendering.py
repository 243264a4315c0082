"""Requests as blocks of Arrow rows, rendered and tokenised by Ray Data tasks.

Blocks stay in the object store; whoever wants their rows gets a reference. A row is {problem_id, question, answer,
requested, context, ask_id, prompt, token_ids, refusal, tags}: `prompt` holds what is forced too, `token_ids` are those
of the model that is sampled (null for a server), `refusal` says why the row cannot be sampled (null where it can),
`tags` are the token ids of each strategy's tag where only that is decoded (else null).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from siked_ray.core.asks import Asks, Render, Rendered
from siked_ray.core.chat_format import PLAIN, ChatFormat
from siked_ray.data.encoding import encode_prompts, encode_texts
from siked_ray.data.storage import Storage
from siked_ray.data.task_dataset import block_references, task_dataset
from siked_ray.data.tokenising import TOKENISING, tokenizer_of_task
from siked_ray.generation.requests import RequestBlock, lay_out

if TYPE_CHECKING:
    import pyarrow as pa

_TASKS_AT_ONCE = 2
#: Rows that are rendered and tokenised together.
_ROWS_AT_ONCE = 512
#: A block costs the driver as much as a dozen calls to engines; each of its calls brings it to one node at most.
_BYTES_PER_BLOCK = 2 * 2**20
_KEPT = ("problem_id", "question", "answer", "requested", "context", "ask_id")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokenising:
    """Whose tokenizer is used and how it is given a prompt, and where what it has to say goes."""

    model: str
    trust_remote_code: bool
    log_path: str
    chat: ChatFormat = PLAIN


def request_blocks(
    storage: Storage, asks: Asks, blocks: Sequence[RequestBlock], tokenising: Tokenising | None
) -> Iterator[tuple[Any, int]]:
    """Stream references to blocks of rendered rows, with their numbers of rows; None: servers tokenise themselves."""
    tasks = [partial(_rendered, storage, asks, block, tokenising) for block in blocks]
    data = task_dataset(
        tasks,
        tasks_at_once=_TASKS_AT_ONCE,
        ordered=False,
        bytes_per_block=_BYTES_PER_BLOCK,
        remote_args={"runtime_env": TOKENISING} if tokenising else None,
    )
    return block_references(data)


def _rendered(storage: Storage, asks: Asks, block: RequestBlock, tokenising: Tokenising | None) -> "Iterator[pa.Table]":
    """Runs in a process of its own where it tokenises."""
    import pyarrow as pa

    tokenizer = None
    if tokenising is not None:
        tokenizer = tokenizer_of_task(
            tokenising.model, trust_remote_code=tokenising.trust_remote_code, log_path=tokenising.log_path
        )
    rows = lay_out(storage, asks, block).combine_chunks()
    chat = tokenising.chat if tokenising else PLAIN
    for batch in rows.to_batches(max_chunksize=_ROWS_AT_ONCE):
        yield render_rows(pa.Table.from_batches([batch]), asks.render, tokenizer, chat)


def render_rows(rows: "pa.Table", render: Render, tokenizer: Any, chat: ChatFormat = PLAIN) -> "pa.Table":
    """Rows of requests out of rows {…, question, requested, context}; without a tokenizer they are for a server."""
    import pyarrow as pa

    questions, requested, contexts = (rows[name].to_pylist() for name in ("question", "requested", "context"))
    rendered = list(map(render, questions, requested, contexts))
    encoded = _for_server(rendered) if tokenizer is None else _tokenised(tokenizer, rendered, chat)
    columns = {name: rows[name] for name in _KEPT}
    return pa.table(
        columns
        | {
            "prompt": pa.array([one.prompt + one.forced for one in rendered], pa.string()),
            "token_ids": pa.array([one.token_ids for one in encoded], pa.list_(pa.int32())),
            "refusal": pa.array([one.refusal for one in encoded], pa.string()),
            "tags": pa.array([one.tags for one in encoded], pa.map_(pa.string(), pa.list_(pa.int32()))),
        }
    )


@dataclass(frozen=True, slots=True)
class _Encoded:
    token_ids: list[int] | None
    refusal: str | None = None
    tags: dict[str, list[int]] | None = None


def _for_server(rendered: Sequence[Rendered]) -> list[_Encoded]:
    refusal = "a server cannot be told how a response begins"
    return [_Encoded(None, refusal if one.forced or one.looked_for else None) for one in rendered]


def _tokenised(tokenizer: Any, rendered: Sequence[Rendered], chat: ChatFormat) -> list[_Encoded]:
    """Each prompt and each forced beginning once; the latter is tokenised as a piece of its own, as in training."""
    prompts = _encoded(partial(encode_prompts, tokenizer, chat=chat), [one.prompt for one in rendered])
    texts = [text for one in rendered for text in (one.forced, *one.looked_for.values()) if text]
    beginnings = _encoded(partial(encode_texts, tokenizer), texts)
    return [
        _with_tags(_together(prompts[one.prompt], beginnings.get(one.forced, _Encoded([]))), one.looked_for, beginnings)
        for one in rendered
    ]


def _encoded(encode: Callable[[list[str]], list[list[int]]], texts: Sequence[str]) -> dict[str, _Encoded]:
    unique = list(dict.fromkeys(texts))
    if not unique:
        return {}
    try:
        return {text: _Encoded(ids) for text, ids in zip(unique, encode(unique), strict=True)}
    except Exception as error:  # whatever a tokenizer or a chat template raises; which text it is about is not said
        if len(unique) == 1:
            return {unique[0]: _Encoded(None, f"The prompt cannot be tokenised: {error!r}")}
        return {text: one for each in unique for text, one in _encoded(encode, [each]).items()}


def _with_tags(one: _Encoded, looked_for: Mapping[str, str], beginnings: Mapping[str, _Encoded]) -> _Encoded:
    if not looked_for:
        return one
    tags = {name: beginnings[text].token_ids for name, text in looked_for.items()}
    return replace(one, tags={name: ids for name, ids in tags.items() if ids})


def _together(prompt: _Encoded, beginning: _Encoded) -> _Encoded:
    if prompt.token_ids is None or beginning.token_ids is None:
        return prompt if prompt.token_ids is None else beginning
    return _Encoded(prompt.token_ids + beginning.token_ids)
