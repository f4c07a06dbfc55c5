"""Drives a storage of the ThingsBoard IoT gateway; run by the Python of an environment that has it.

`python thingsboard_storage.py KIND RECORDS FSYNC_EVERY PAYLOAD_BYTES DIRECTORY` prints one JSON object. KIND is
`file` or `sqlite`; FSYNC_EVERY n calls fsync(2) on the data file after each n records (0: never, as the storage
itself).
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Any


def written_bytes() -> int:
    """Bytes that this process has had written to the disk (proc(5), /proc/PID/io)."""
    for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise RuntimeError("/proc/self/io has no write_bytes")


def make(kind: str, directory: Path, records: int) -> Any:
    """The storage with the settings under which it is fastest and keeps everything."""
    log: Any = logging.getLogger("storage")
    log.trace = log.debug  # the gateway's own loggers have it
    if kind == "file":
        module = import_module("thingsboard_gateway.storage.file.file_event_storage")
        settings = {
            "data_folder_path": f"{directory}/",
            "max_file_count": 10,
            "max_records_per_file": records + 1,
            "max_records_between_fsync": 1,
            "max_read_records_count": 1000,
        }
        return module.FileEventStorage(settings, log, Event())
    module = import_module("thingsboard_gateway.storage.sqlite.sqlite_event_storage")
    settings = {"data_file_path": f"{directory}/", "max_read_records_count": 1000}
    return module.SQLiteEventStorage(settings, log, Event())


def put(storage: Any, kind: str, directory: Path, records: int, fsync_every: int, payload: str) -> None:
    """All records, until the storage has them as safely as it ever will."""
    data = -1
    for number in range(1, records + 1):
        if not storage.put(payload):
            raise RuntimeError(f"record {number} was refused")
        if fsync_every and number % fsync_every == 0:
            if data < 0:
                data = os.open(next(directory.glob("data_*.txt")), os.O_RDONLY)
            os.fsync(data)
    if kind == "sqlite":
        while storage.len() < records or storage.write_queue.qsize():
            time.sleep(0.001)


def drain(storage: Any, records: int) -> None:
    """Read everything in packs, each confirmed before the next."""
    left = records
    while left > 0:
        pack = storage.get_event_pack()
        left -= len(pack)
        if pack:
            storage.event_pack_processing_done()
        else:
            time.sleep(0.0005)


def main() -> None:
    """Measure."""
    kind, records, fsync_every, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    directory = Path(sys.argv[5])
    payload = "x" * size
    storage = make(kind, directory, records)
    before, cpu, begun = written_bytes(), time.process_time(), time.perf_counter()
    put(storage, kind, directory, records, fsync_every, payload)
    put_s = time.perf_counter() - begun
    begun = time.perf_counter()
    drain(storage, records)
    figures = {
        "put_s": put_s,
        "drain_s": time.perf_counter() - begun,
        "cpu_s": time.process_time() - cpu,
        "written": written_bytes() - before,
    }
    print(json.dumps(figures), flush=True)
    os._exit(0)  # its threads would go on


if __name__ == "__main__":
    main()
