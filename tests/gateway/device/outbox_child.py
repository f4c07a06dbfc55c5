"""A device's acquisition and publisher around an outbox in `always`, to be killed at any moment.

`python -m tests.gateway.device.outbox_child DIRECTORY EPOCH` writes lines: `up`, then `committed INDEX COUNT`
when frames count as acquired, and `arrived INDEX COUNT` when the broker has them.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from gateway.device.outbox import Outbox, OutboxSettings, Record
from tests.gateway.device.outboxes import batch


def say(text: str) -> None:
    """One write, so that a kill leaves whole lines."""
    os.write(1, f"{text}\n".encode())


def committed(records: Sequence[Record]) -> None:
    """Tell what is on disk now."""
    for record in records:
        say(f"committed {record.index} {record.count}")


def acquire(outbox: Outbox, epoch: int) -> None:
    """Batches without end."""
    number = 0
    while True:
        outbox.put(batch(number, epoch=epoch))
        number += 1
        time.sleep(0.0005)


def main(directory: Path, epoch: int) -> None:
    """Acquire, and send with pauses, so that there is always a backlog."""
    outbox = Outbox(
        OutboxSettings(directory=directory, durability="always", group_s=0.002), on_committed=committed
    )
    outbox.start()
    outbox.previous()
    say("up")
    threading.Thread(target=acquire, args=(outbox, epoch), daemon=True).start()
    while True:
        outbox.connected()
        for _ in range(100):
            sending = outbox.take(timeout=1.0)
            if sending is not None and sending.record.epoch == epoch:
                say(f"arrived {sending.record.index} {sending.record.count}")
                outbox.ack(sending.token)
        outbox.release_all()
        time.sleep(0.03)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
