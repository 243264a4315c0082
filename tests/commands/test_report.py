"""`siked report` where its page cannot be written."""

import errno

import pytest

from siked_ray.cli import main
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    storage = Storage(str(tmp_path))
    storage.write_json(names.SUMMARY, {})
    storage.write_text(names.CONFIG, "{}")
    monkeypatch.setattr("siked_ray.report.changes.find_changes", lambda *_: None)
    monkeypatch.setattr("siked_ray.report.html.page.render", lambda *_: "page")

    def fail(self: Storage, name: str, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Storage, "write_text", fail)
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"siked: cannot write {tmp_path}/report.html: No space left on device\n"
