"""A relay's history on disk, to be killed at any moment.

`python -m tests.gateway.relay.history_child DIRECTORY INDEX` writes batches of 50 frames from INDEX on without
end, and a line `kept INDEX` after each.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gateway.relay.history import DiskTier, HistoryLimits, StreamHistory
from tests.gateway.relay.historic import ecg


def main(directory: Path, index: int) -> None:
    """Add batches without end."""
    history = StreamHistory(HistoryLimits(memory_bytes=10_000), DiskTier(directory, 1 << 30, 100_000))
    while True:
        history.add(ecg(index))
        # one write, so that a kill leaves whole lines
        os.write(1, f"kept {index}\n".encode())
        index += 50


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
