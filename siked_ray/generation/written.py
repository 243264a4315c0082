"""Do the parts that engines write arrive where the driver reads?

Not when the run directory is a folder of one machine and an engine came up later on another one: it writes to its own
disk, and the stage would be committed without its rows.
"""

import time
from collections.abc import Collection

from siked_ray.errors import StageError
from siked_ray.generation.durable import pending
from siked_ray.generation.task import RowSink

#: A network file system may show a new file this late.
_TIMEOUT_S = 120.0
_LOOK_INTERVAL_S = 1.0


class WrittenParts:
    """The parts of a sink that engines say they have written, each engine's in the order of their names."""

    def __init__(self, sink: RowSink, timeout_s: float = _TIMEOUT_S) -> None:
        self._sink = sink
        self._timeout_s = timeout_s
        #: By writer.
        self._last: dict[str, str] = {}
        self._unseen_since: dict[str, float] = {}

    def add(self, part: str) -> None:
        """An engine has written this part. Raises StageError when the first ones of this engine do not arrive."""
        writer_id = part.partition("-")[0]
        is_new = writer_id not in self._last
        self._last[writer_id] = max(part, self._last.get(writer_id, ""))
        if not is_new and writer_id not in self._unseen_since:
            return
        if any(self._sink.storage.exists(name) for name in self._names(part)):
            self._unseen_since.pop(writer_id, None)
        elif time.monotonic() - self._unseen_since.setdefault(writer_id, time.monotonic()) > self._timeout_s:
            raise self._lost(part)

    def wait_for_all(self) -> None:
        """Return when every engine's last part is listed, and so all of them; raises StageError when they never are."""
        deadline = time.monotonic() + self._timeout_s
        while missing := self._missing():
            if time.monotonic() > deadline:
                raise self._lost(missing[0])
            time.sleep(_LOOK_INTERVAL_S)

    def _names(self, part: str) -> Collection[str]:
        """A part has sampled rows, quarantined ones, or both."""
        return f"{pending(self._sink.folder)}/part-{part}", f"quarantine/{self._sink.stage}-{part}"

    def _missing(self) -> list[str]:
        storage = self._sink.storage
        listed = {*storage.files(pending(self._sink.folder)), *storage.files("quarantine")}
        return [part for part in self._last.values() if listed.isdisjoint(self._names(part))]

    def _lost(self, part: str) -> StageError:
        root = self._sink.storage.root
        return StageError(
            f"The rows that an engine wrote to {root} are not there for the driver after {self._timeout_s:g} s (part "
            f"{part}): that folder is not the same on all nodes. Set run_dir to a shared file system (NFS, EFS, "
            "Filestore, Lustre) or to an object store (s3://…)."
        )
