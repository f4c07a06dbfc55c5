"""What all doors of the relay share: the count of who came in."""

from __future__ import annotations

from gateway.relay.door import Gate


def test_the_gate_counts_in_all_and_by_address() -> None:
    gate = Gate(3, 2, 1)
    assert [gate.enter("a"), gate.enter("a"), gate.enter("b")] == [None] * 3
    assert gate.enter("c") == "the relay takes 3 connections"
    gate.leave("b")
    assert gate.enter("a") == "the relay takes 2 connections from one address"
    gate.leave("a")
    assert gate.enter("a") is None
    assert (gate.connections, gate.refused) == (2, 2)
