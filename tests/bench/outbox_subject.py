"""Drives our outbox as the ThingsBoard gateway's storages are driven, in a process of its own.

`python -m tests.bench.outbox_subject DURABILITY AWAY RECORDS PAYLOAD_BYTES DIRECTORY` prints one JSON object.
AWAY is 1 if the broker is away while the records are put.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import cast

from gateway.device.outbox import Durability, Outbox, OutboxSettings, Record
from tests.bench.thingsboard_storage import written_bytes

FLUSH_EVERY = 2000
"""Records that are put at most before the disk is waited for: more at once would be dropped, and declared."""


def put(outbox: Outbox, records: int, payload: bytes, *, away: bool) -> None:
    """All records, until they are on disk; if the broker is there, each is sent and acknowledged at once."""
    for number in range(records):
        outbox.put(Record("ecg", 1, number * 50, 50, payload))
        if not away:
            sending = outbox.take()
            if sending is not None:
                outbox.ack(sending.token)
        elif number % FLUSH_EVERY == FLUSH_EVERY - 1:
            outbox.flush()
    if away:
        outbox.flush()


def drain(outbox: Outbox, records: int) -> None:
    """Take and acknowledge everything."""
    for _ in range(records):
        sending = outbox.take(timeout=10.0)
        if sending is None:
            raise SystemExit("the outbox stopped handing records out")
        outbox.ack(sending.token)


def main() -> None:
    """Measure."""
    durability, away = cast(Durability, sys.argv[1]), sys.argv[2] == "1"
    records, payload, directory = int(sys.argv[3]), b"x" * int(sys.argv[4]), Path(sys.argv[5])
    outbox = Outbox(OutboxSettings(directory=directory, durability=durability))
    outbox.start()
    outbox.previous()
    if not away:
        outbox.connected()
    before, cpu, begun = written_bytes(), time.process_time(), time.perf_counter()
    put(outbox, records, payload, away=away)
    put_s = time.perf_counter() - begun
    outbox.connected()
    begun = time.perf_counter()
    drain(outbox, records if away else 0)
    drain_s = time.perf_counter() - begun
    counters = outbox.counters()
    outbox.close()
    if counters.dropped:
        raise SystemExit(f"dropped {counters.dropped}: the figures mean nothing")
    figures = {
        "put_s": put_s,
        "cpu_s": time.process_time() - cpu,
        "written": written_bytes() - before,
    }
    if away:
        figures["drain_s"] = drain_s
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
