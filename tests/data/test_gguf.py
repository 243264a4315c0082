"""Models out of GGUF files and back: the same logits, tokens and greedy text; what cannot be read is refused."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from siked_ray.data.gguf.gguf_reading import write_description
from siked_ray.data.gguf.gguf_writing import write_gguf
from siked_ray.data.gguf.pre_tokenizers import pre_tokenizer
from siked_ray.data.model_folder import described_model, local_model
from siked_ray.errors import ModelError
from tests.conftest import save_tiny_tokenizer

TEXTS = ["Tom's 1234 apples cost $56.7.", "x  12 = 3\n\n\tÄÖ 漢字 🙂", "<tool>a</s>b", " [pot]: answer = 3 + 4"]
TEMPLATE = "{% for m in messages %}<s>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}\nA:{% endif %}"
#: Vocabulary of the tiny models: larger than their tokenizers', as real ones often are.
VOCAB_SIZE = 352


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SIKED_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def save_tokenizer(folder: Path, pre: str) -> None:
    tokenizer = save_tiny_tokenizer(folder)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizer(pre)
    tokenizer.backend_tokenizer.model.ignore_merges = pre == "llama-bpe"
    tokenizer.add_tokens(["<tool>"])
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)


def save_model(folder: Path, architecture: str, **changed: Any) -> None:
    """Random, with four heads on two, so that a row in the wrong place is seen, and biases that are not 0."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "vocab_size": VOCAB_SIZE,
        "initializer_range": 0.1,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "dtype": "float32",
    }
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **sizes | changed))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    model.save_pretrained(folder)


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., str]:
    def make(architecture: str, pre: str = "gpt-2", **changed: Any) -> str:
        folder = tmp_path / f"{architecture}-{pre}"
        save_model(folder, architecture, **changed)
        save_tokenizer(folder, pre)
        return str(folder)

    return make


def loaded(folder: str, **where: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **where).eval()
    return model, AutoTokenizer.from_pretrained(folder, **where)


def logits_and_greedy(model: Any) -> tuple[Any, list[int]]:
    import torch

    token_ids = torch.arange(3, 43).unsqueeze(0)
    with torch.no_grad():
        logits = model(token_ids).logits
        generated = model.generate(token_ids, max_new_tokens=20, do_sample=False, eos_token_id=None)
    return logits, generated[0].tolist()


#: Llama's heads may be of any size, its embedding may be its head.
MODELS = [
    ("llama", "gpt-2", {"tie_word_embeddings": True}),
    ("llama", "smollm", {"head_dim": 32}),
    ("llama", "llama-bpe", {}),
    ("qwen2", "qwen2", {"tie_word_embeddings": False}),
]


@pytest.mark.parametrize(("architecture", "pre", "changed"), MODELS)
def test_f16_and_back_is_the_same_model(
    make_model: Callable[..., str], tmp_path: Path, architecture: str, pre: str, changed: dict[str, Any]
) -> None:
    folder, file = make_model(architecture, pre, **changed), tmp_path / "model.gguf"
    write_gguf(folder, file, "f16")
    before, tokenizer = loaded(folder)
    after, read = loaded(local_model(str(file)))
    logits, greedy = logits_and_greedy(before)
    logits_read, greedy_read = logits_and_greedy(after)
    assert (logits - logits_read).abs().max() < 1e-2 < logits.abs().max()
    assert greedy == greedy_read
    assert [read(text)["input_ids"] for text in TEXTS] == [tokenizer(text)["input_ids"] for text in TEXTS]
    assert [read.decode(read(text)["input_ids"]) for text in TEXTS] == TEXTS
    chat = [{"role": "user", "content": "3 + 4?"}]
    asked = [one.apply_chat_template(chat, add_generation_prompt=True, return_dict=False) for one in (tokenizer, read)]
    assert asked[0] == asked[1]
    assert (read.eos_token, read.bos_token, len(read)) == ("</s>", "<s>", len(tokenizer))
    assert after.generation_config.eos_token_id == 1


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_transformers_reads_the_same_model_out_of_the_file(
    make_model: Callable[..., str], tmp_path: Path, architecture: str
) -> None:
    """A reader that is not ours: two mistakes of ours that undo each other would be seen here."""
    folder, file = make_model(architecture), tmp_path / "model.gguf"
    write_gguf(folder, file, "f16")
    theirs, _ = loaded(str(tmp_path), gguf_file=file.name)
    ours, _ = loaded(folder)
    assert (logits_and_greedy(theirs)[0] - logits_and_greedy(ours)[0]).abs().max() < 1e-2


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_q8_0_is_close_and_half_as_large(make_model: Callable[..., str], tmp_path: Path, architecture: str) -> None:
    folder = make_model(architecture)
    for kind in ("f16", "q8_0"):
        write_gguf(folder, tmp_path / f"{kind}.gguf", kind)
    exact, _ = logits_and_greedy(loaded(folder)[0])
    close, _ = logits_and_greedy(loaded(local_model(str(tmp_path / "q8_0.gguf")))[0])
    assert 0 < (close - exact).abs().mean() < 0.02 * exact.abs().mean()
    assert (tmp_path / "q8_0.gguf").stat().st_size < 0.65 * (tmp_path / "f16.gguf").stat().st_size


@pytest.fixture
def file(make_model: Callable[..., str], tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    write_gguf(make_model("llama"), path, "q8_0")
    return path


def test_a_file_is_read_once_wherever_it_lies(file: Path, tmp_path: Path, cache: Path) -> None:
    copy = tmp_path / "another.gguf"
    shutil.copy(file, copy)
    with ThreadPoolExecutor(4) as executor:
        (folder,) = set(executor.map(local_model, [str(file), str(copy)] * 2))
    assert Path(folder).parent == cache and (Path(folder) / "config.json").exists()
    assert [path.name for path in cache.iterdir() if not path.name.startswith(".sha256")] == [Path(folder).name]
    file.write_bytes(file.read_bytes() + b"\0")
    assert local_model(str(file)) != folder


def test_a_description_has_no_weights(file: Path) -> None:
    names = {path.name for path in Path(described_model(str(file))).iterdir()}
    assert {"config.json", "tokenizer.json", "chat_template.jinja"} <= names
    assert not [name for name in names if name.endswith(".safetensors")]


def test_a_file_that_ends_anywhere_is_refused_in_a_sentence(file: Path, tmp_path: Path) -> None:
    content, cut = file.read_bytes(), tmp_path / "cut.gguf"
    for length in [0, 3, 4, 11, 24, *range(25, len(content), len(content) // 60), len(content) - 40]:
        cut.write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"cut\.gguf.* (damaged|no GGUF file)"):
            write_description(cut, tmp_path / "never")
    assert not (tmp_path / "never").exists()


#: Bytes of the file, what stands there instead, and what is said of it.
DAMAGES = [
    (b"GGUF\x03", b"GGUF\x63", r"version 99; versions 2 and 3"),
    (b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0qwen7", r"architecture 'qwen7' are not read; those of llama and"),
    (b"general.architecture", b"general.architectura", r"architecture '' are not read"),
    (b"\x05\0\0\0\0\0\0\0gpt-2", b"\x05\0\0\0\0\0\0\0poro9", r"cuts text as llama.cpp's 'poro9' does"),
    (b"\x04\0\0\0\0\0\0\0gpt2", b"\x04\0\0\0\0\0\0\0bert", r"of the kind 'bert', and only byte-level BPE"),
    (b"blk.0.attn_q.weight", b"blk.0.attn_q.weighs", r"lacks 1 tensors, blk\.0\.attn_q\.weight among them"),
    (b"llama.block_count", b"llama.block_cound", r"llama\.block_count is None"),
    (b"eos_token_id\x04\0\0\0\x01", b"eos_token_id\x04\0\0\0\xff\xff", r"its eos token is number"),
]


@pytest.mark.parametrize(("there", "instead", "said"), DAMAGES, ids=lambda value: repr(value)[-30:])
def test_what_cannot_be_read_is_said(file: Path, tmp_path: Path, there: bytes, instead: bytes, said: str) -> None:
    content = file.read_bytes()
    at = content.index(there)
    file.write_bytes(content[:at] + instead + content[at + len(instead) :])
    with pytest.raises(ModelError, match=said):
        write_description(file, tmp_path / "never")


@pytest.mark.parametrize(("number", "said"), [(99, "a type unknown here, number 99"), (27, "I64, which cannot be")])
def test_a_quantisation_that_cannot_be_undone_is_refused(file: Path, tmp_path: Path, number: int, said: str) -> None:
    content = bytearray(file.read_bytes())
    at = content.index(b"blk.0.ffn_up.weight") + len(b"blk.0.ffn_up.weight") + 4 + 2 * 8
    assert content[at] == 8, "Q8_0"
    content[at] = number
    file.write_bytes(content)
    with pytest.raises(ModelError, match=rf"blk\.0\.ffn_up\.weight is stored as {said}"):
        write_description(file, tmp_path / "never")


def rewritten(path: Path, add: Callable[[Any], None]) -> None:
    """A file of nothing but what is added to a header that is complete."""
    from gguf import GGUFReader, GGUFValueType, GGUFWriter

    reader = GGUFReader(path)
    beside = path.with_name("beside.gguf")
    writer = GGUFWriter(beside, "llama")
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            kind = field.types[0]
            inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), kind, sub_type=inner)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    add(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    beside.replace(path)


def test_what_would_be_left_out_without_a_word_is_refused(file: Path, tmp_path: Path) -> None:
    import numpy as np

    ones = np.ones(8, dtype=np.float32)
    whole = file.read_bytes()
    for add, said in (
        (lambda writer: writer.add_tensor("rope_freqs.weight", ones), "positions are scaled"),
        (lambda writer: writer.add_rope_dimension_count_swa(8), None),
        (lambda writer: writer.add_tensor("blk.0.attn_q.bias", ones), r"has the tensor blk\.0\.attn_q\.bias"),
        (lambda writer: writer.add_uint16("split.count", 3), "split into 3 files"),
    ):
        file.write_bytes(whole)
        rewritten(file, add)
        if said is None:
            write_description(file, tmp_path / "read")
            continue
        with pytest.raises(ModelError, match=said):
            write_description(file, tmp_path / "never")


def test_a_model_that_llama_cpp_would_read_as_another_is_not_written(
    make_model: Callable[..., str], tmp_path: Path
) -> None:
    from siked_ray.world.tokenizer import build_tokenizer

    file = tmp_path / "never.gguf"
    scaled = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    for architecture, changed, said in (
        ("qwen3", {}, "its architecture is qwen3, and those of llama and qwen2 are written"),
        ("llama", {"rope_parameters": scaled}, r"its positions are scaled \(linear\)"),
        ("llama", {"attention_bias": True}, "its configuration has attention_bias"),
        ("llama", {"hidden_act": "gelu"}, "its layers use gelu"),
    ):
        with pytest.raises(ModelError, match=said):
            write_gguf(make_model(architecture, **changed), file, "f16")
    folder = make_model("llama")
    build_tokenizer().save_pretrained(folder)
    with pytest.raises(ModelError, match=r"llama\.cpp has no name for the way in which its tokenizer cuts text"):
        write_gguf(folder, file, "f16")
    assert [path.name for path in tmp_path.iterdir() if "gguf" in path.name] == []


def test_weights_beyond_16_bits_are_not_written(make_model: Callable[..., str], tmp_path: Path) -> None:
    import torch

    folder = make_model("llama")
    model, _ = loaded(folder)
    with torch.no_grad():
        model.lm_head.weight[0, 0] = 1e6
    model.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"output\.weight holds weights beyond what 16 bits can hold"):
        write_gguf(folder, tmp_path / "never.gguf", "f16")
    assert [path.name for path in tmp_path.iterdir() if "gguf" in path.name] == []


def test_a_file_on_the_hub_is_fetched(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked = []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *names: asked.append(names) or str(file))
    assert local_model("me/tiny-GGUF:sub/Tiny.Q8_0.gguf") == local_model(str(file))
    assert asked == [("me/tiny-GGUF", "sub/Tiny.Q8_0.gguf")]


def test_a_file_that_is_nowhere(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no file .*x\.gguf; give the path of a \.gguf file, or OWNER/NAME"):
        local_model(str(tmp_path / "x.gguf"))
