"""What looks like a credential is found, and is blanked without a trace."""

import pytest

from siked_ray.core.credentials import holds_credentials, keys_with_credentials, redacted

SECRETS = {
    "s3://AKIAABCDEFGHIJKLMNOP:wJalrXUtnFEMI@bucket/run": "wJalrXUtnFEMI",
    "https://user:pa55word@host/data.jsonl": "pa55word",
    "s3://bucket/run?secret_key=wJalrXUtnFEMI&region=eu": "wJalrXUtnFEMI",
    "https://host/x.jsonl?X-Amz-Signature=abcdef0123": "abcdef0123",
    "https://host/x?access_token=abc123": "abc123",
    "key AKIAABCDEFGHIJKLMNOP": "AKIAABCDEFGHIJKLMNOP",
    "hf_abcdefghijklmnopqrstuvwxyz": "hf_abcdefghijklmnopqrstuvwxyz",
    "sk-abcdefghijklmnopqrstuvwx": "sk-abcdefghijklmnopqrstuvwx",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789": "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
}
HARMLESS = [
    "s3://bucket/runs/mine",
    "openai/gsm8k:main/train",
    "world:teacher",
    "http://127.0.0.1:8265/x?limit=3",
    "user@host:/nfs/runs",
    "The answer is 3:4@noon",
    "task-based-strategies-for-students",
    "tokenizer?no",
    "/data/hf_cache/model",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_found_and_blanked(text: str) -> None:
    assert holds_credentials(text)
    assert SECRETS[text] not in redacted(text)
    assert "***" in redacted(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_harmless_stays(text: str) -> None:
    assert not holds_credentials(text)
    assert redacted(text) == text


def test_the_keys_that_hold_them_are_named() -> None:
    values = {"run_dir": "s3://key:secret@bucket", "data": {"test": ["fine", "https://a:b@c/d"]}, "seed": 3}
    assert list(keys_with_credentials(values)) == ["run_dir", "data.test.1"]
