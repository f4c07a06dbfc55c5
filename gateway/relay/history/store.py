"""The histories of all streams: one directory, one bound. Whoever takes most gives way first."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.account import Range
from gateway.relay.history.disk import DiskTier
from gateway.relay.history.history import HistoryLimits, StreamHistory
from gateway.relay.history.record import HistoryRecord

log = logging.getLogger(__name__)

LONGEST_NAME = 200
"""Bytes; a file system takes 255."""
NAME = "stream"
"""The file in a stream's folder that holds its name."""
METAS = "metas.json"
"""The one that holds its descriptions."""

Metas = dict[int, dict[str, Any]]
"""What a stream's meta said, by revision, the newest last."""


class HistoryStore:
    """A history for each stream, within common limits. Without a directory, in memory alone.

    Not for several threads at once. One process at a time may have a directory.
    """

    def __init__(self, directory: Path | None = None, limits: HistoryLimits | None = None) -> None:
        self._directory = directory
        self._limits = limits or HistoryLimits()
        self._histories: dict[str, StreamHistory] = {}
        self._disks: dict[str, DiskTier] = {}
        self.memory_bytes = 0
        """What all take in memory."""
        self.disk_bytes = 0
        """What the segments of all take on disk."""
        if directory is not None:
            self._adopt(directory)

    @property
    def streams(self) -> list[str]:
        """Those that have a history, in order."""
        return sorted(self._histories)

    def of(self, stream: str) -> StreamHistory:
        """The history of `device/stream`; a new one if there is none."""
        if stream not in self._histories:
            self._histories[stream] = StreamHistory(self._limits, self._disk_of(stream))
        return self._histories[stream]

    def find(self, stream: str) -> StreamHistory | None:
        """The history of `device/stream`, if there is one."""
        return self._histories.get(stream)

    def disk(self, stream: str) -> DiskTier | None:
        """Where a stream's history is on disk, and what went wrong there."""
        return self._disks.get(stream)

    def add(self, stream: str, record: HistoryRecord) -> list[Range]:
        """Keep what of a record is not there yet; returns that."""
        history, disk = self.of(stream), self._disks.get(stream)
        memory_before, disk_before = history.memory.bytes, disk.bytes if disk is not None else 0
        new = history.add(record)
        self.memory_bytes += history.memory.bytes - memory_before
        if self.memory_bytes > self._limits.memory_bytes:
            memories = {name: history.memory for name, history in self._histories.items()}
            sizes = {name: (memory.bytes, memory.drop_first) for name, memory in memories.items()}
            self.memory_bytes = _bound(self._limits.memory_bytes, sizes)
        if disk is None:
            return new
        self.disk_bytes += disk.bytes - disk_before
        if self.disk_bytes > self._limits.disk_bytes:
            tiers = {name: (tier.bytes, tier.drop_oldest) for name, tier in self._disks.items()}
            self.disk_bytes = _bound(self._limits.disk_bytes, tiers)
        return new

    def keep_metas(self, stream: str, metas: Metas) -> None:
        """Write the stream's descriptions down, by revision, the newest last."""
        self.of(stream)
        if self._directory is None or stream not in self._disks:
            return
        path = self._directory / folder_name(stream) / METAS
        new = path.with_suffix(".new")
        try:
            new.write_text(json.dumps(list(metas.items())), encoding="utf-8")
            new.replace(path)
        except OSError as error:
            log.warning("history: %s: cannot write: %s", path, error)

    def metas(self, stream: str) -> Metas:
        """The descriptions that were written down; none if there are none that can be read."""
        if self._directory is None:
            return {}
        path = self._directory / folder_name(stream) / METAS
        try:
            content = json.loads(path.read_bytes())
            return {int(revision): dict(meta) for revision, meta in content}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            log.warning("history: %s: cannot be read: %s", path, error)
            return {}

    def close(self) -> None:
        """Leave the files so that they open fast."""
        for disk in self._disks.values():
            disk.close()

    def _adopt(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for name in sorted(directory.glob(f"*/{NAME}")):
            stream = name.read_text(encoding="utf-8", errors="replace")
            if folder_name(stream) == name.parent.name:
                self.of(stream)

    def _disk_of(self, stream: str) -> DiskTier | None:
        if self._directory is None:
            return None
        folder = self._directory / folder_name(stream)
        try:
            folder.mkdir(exist_ok=True)
            (folder / NAME).write_text(stream, encoding="utf-8")
            self._disks[stream] = DiskTier(folder, self._limits.disk_bytes)
        except OSError as error:
            log.warning("history: %s: in memory only: %s", stream, error)
            return None
        self.disk_bytes += self._disks[stream].bytes
        return self._disks[stream]


def folder_name(stream: str) -> str:
    """A folder's name that no stream's name can lead elsewhere, and no two share."""
    name = quote(stream, safe="").replace(".", "%2E")
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 66]}~{hashlib.sha256(stream.encode()).hexdigest()}"


def _bound(bound: int, takes: dict[str, tuple[int, Callable[[], int]]]) -> int:
    """Make the largest smaller until all are within the bound; returns what they take then."""
    sizes = {name: size for name, (size, _) in takes.items()}
    total = sum(sizes.values())
    while total > bound:
        largest = max(sizes, key=lambda name: sizes[name])
        freed = takes[largest][1]()
        if not freed:
            break
        sizes[largest] -= freed
        total -= freed
    return total
