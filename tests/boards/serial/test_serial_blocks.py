from __future__ import annotations

import numpy as np

from boards.serial.blocks import BlockBuilder


def test_blocks_keep_rows_and_losses_in_their_order() -> None:
    builder = BlockBuilder(1, np.int16)
    builder.lose(0, "overrun", 5)
    builder.lose(2, "undecodable", 5)
    builder.lose(1, "undecodable", 6)
    builder.lose(4, "unplugged", 7)
    builder.add([1], 10)
    builder.add([2], 13)
    builder.lose(1, "overrun", 20)
    blocks = builder.take()
    assert [(b.lost, b.reason, b.frames.tolist(), b.monotonic_ns) for b in blocks] == [
        (3, "undecodable", [], 6),
        (4, "unplugged", [[1], [2]], 10),
        (1, "overrun", [], 20),
    ]
    assert [None if b.offsets_ns is None else b.offsets_ns.tolist() for b in blocks] == [[], [0, 3], []]
    assert builder.take() == []
