"""A run directory that other nodes do not see is refused, and leaves nothing behind."""

from pathlib import Path

import pytest
import ray

from siked_ray.data.storage import Storage
from siked_ray.errors import ConfigError
from siked_ray.launch import shared_storage as reach


@pytest.fixture
def three_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"NodeID": name, "Alive": name != "gone"} for name in ("head", "worker", "other", "gone")]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)


def seen_by(names: list[str], looked_for: list[Path]):
    def nodes_without(path: str, nodes: list[str]) -> list[str]:
        assert Path(path).exists(), "it is written before it is looked for"
        looked_for.append(Path(path))
        return [node for node in nodes if node not in names]

    return nodes_without


def test_a_folder_of_one_machine_is_refused(three_nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "_nodes_without", seen_by(["head"], []))
    with pytest.raises(ConfigError, match=r"run_dir .*run is a folder of this machine alone: 2 of 3 nodes.*NFS.*s3://"):
        reach.check_run_directory_is_shared(Storage(str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_a_shared_folder_is_fine_and_keeps_what_it_has(
    three_nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_for: list[Path] = []
    monkeypatch.setattr(reach, "_nodes_without", seen_by(["head", "worker", "other"], looked_for))
    (tmp_path / "config.yaml").write_text("")
    reach.check_run_directory_is_shared(Storage(str(tmp_path)))
    assert len(looked_for) == 1 and [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_object_stores_and_single_machines_are_not_asked(
    three_nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_for: list[Path] = []
    monkeypatch.setattr(reach, "_nodes_without", seen_by([], looked_for))
    reach.check_run_directory_is_shared(Storage("s3://bucket/run"))
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": "head", "Alive": True}])
    reach.check_run_directory_is_shared(Storage(str(tmp_path)))
    assert looked_for == []
