"""Simulated instruments behind real pseudo-terminals, read through pyserial."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import threading
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boards import BadOption, Block, Channel, LimitExceeded, SourceLost, SourceRequest, UnknownInput
from boards.registry import load_board
from boards.serial import SerialBoard, SerialSource, open_serial_source
from boards.serial.decoder import SUSPICIOUS_RUN
from boards.serial.instruments import INSTRUMENTS, Instrument, make_instrument
from boards.serial.simulated import Fault, Garbage, Garble, Silence, SimulatedInstrument, Unplug
from tests.standin.rfc2217_server import Rfc2217Server

PATIENCE_S = 60
"""More than any test needs: one that would wait for ever fails instead."""


def request_for(instrument: Instrument) -> SourceRequest:
    return SourceRequest(tuple(Channel(name, "") for name in instrument.channels))


def read_until(
    source: SerialSource, enough: Callable[[list[Block]], bool], so_far: list[Block] | None = None
) -> list[Block]:
    blocks = [] if so_far is None else so_far
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        blocks.append(source.read())
        if enough(blocks):
            return blocks
    raise AssertionError(f"after {PATIENCE_S} s there are {rows(blocks)} rows and {lost(blocks)} losses")


def read_until_lost(source: SerialSource) -> list[Block]:
    blocks: list[Block] = []
    with pytest.raises(SourceLost, match="went away"):
        read_until(source, lambda _: False, blocks)
    return blocks


def rows(blocks: list[Block]) -> int:
    return sum(len(block.frames) for block in blocks)


def lost(blocks: list[Block]) -> int:
    return sum(block.lost for block in blocks)


def at_least(count: int) -> Callable[[list[Block]], bool]:
    """Whether so many rows came."""
    return lambda blocks: rows(blocks) >= count


def numbered(blocks: list[Block]) -> dict[int, list[float]]:
    """Index of each delivered row -> its values: what a stream makes of the blocks."""
    index, found = 0, {}
    for block in blocks:
        index += block.lost
        for row in block.frames.tolist():
            found[index] = row
            index += 1
    return found


@contextmanager
def talking(
    kind: str, folder: Path, options: Mapping[str, Any] | None = None, **how: Any
) -> Iterator[tuple[SimulatedInstrument, SerialSource]]:
    """An instrument that talks as soon as its port is open, and the open source that reads it."""
    instrument = make_instrument(kind, seed=1)
    port = SimulatedInstrument(instrument, folder / kind, realtime=False, **how)
    given = {"port": str(port.link), "skip": 0, **instrument.options, **(options or {})}
    port.replug()
    with open_serial_source(request_for(instrument), given) as source, port:
        yield port, source


@pytest.mark.parametrize("kind", INSTRUMENTS)
def test_every_row_of_every_instrument_comes_with_its_values(kind: str, tmp_path: Path) -> None:
    with talking(kind, tmp_path, rows=300) as (port, source):
        blocks = read_until(source, at_least(300))
    assert lost(blocks) == 0
    for row, values in numbered(blocks).items():
        assert values == pytest.approx(port.instrument.values(row), abs=1e-9)
    assert source.counters.undecodable == 0


@pytest.mark.parametrize(("kind", "dtype"), [("oximeter", "float64"), ("gps", "float64"), ("imu", "int16")])
def test_rows_have_the_parsers_type(kind: str, dtype: str, tmp_path: Path) -> None:
    with talking(kind, tmp_path, rows=2) as (_, source):
        [*_, last] = read_until(source, at_least(2))
    assert np.dtype(source.dtype) == last.frames.dtype == dtype


@pytest.mark.parametrize("kind", INSTRUMENTS)
def test_garbled_rows_are_declared_and_every_other_row_keeps_its_number(kind: str, tmp_path: Path) -> None:
    faults: dict[int, Fault] = dict.fromkeys([0, 7, 8, 9, 50, 120], Garble())
    with talking(kind, tmp_path, rows=200, faults=faults) as (port, source):
        blocks = read_until(source, lambda blocks: rows(blocks) + lost(blocks) >= 200)
    assert port.garbled == lost(blocks) == source.counters.undecodable == 6
    assert {block.reason for block in blocks if block.lost} == {"undecodable"}
    came = numbered(blocks)
    assert came.keys() == set(range(200)) - faults.keys()
    for row, values in came.items():
        assert values == pytest.approx(port.instrument.values(row), abs=1e-9)


@pytest.mark.parametrize("kind", INSTRUMENTS)
def test_garbage_between_rows_takes_none_of_them_along(kind: str, tmp_path: Path) -> None:
    ends = {"imu": b"", "imu_cobs": b"\0"}.get(kind, b"\r\n")
    faults: dict[int, Fault] = {row: Garbage(b"\xaa\x55\xff$GP," * row + ends) for row in (1, 3, 60)}
    with talking(kind, tmp_path, rows=100, faults=faults) as (port, source):
        blocks = read_until(source, at_least(100))
    came = list(numbered(blocks).values())
    assert came == [pytest.approx(port.instrument.values(row), abs=1e-9) for row in range(100)]
    assert lost(blocks) >= 3


def test_an_endless_line_is_declared_and_ends_nothing(tmp_path: Path) -> None:
    faults: dict[int, Fault] = {5: Garbage(b"9" * 100_000 + b"\n")}
    with talking("oximeter", tmp_path, rows=10, faults=faults) as (_, source):
        blocks = read_until(source, at_least(10))
    assert list(numbered(blocks)) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert source.counters.overlong == 1


def test_times_go_forward_and_lie_between_opening_and_reading(tmp_path: Path) -> None:
    began = time.monotonic_ns()
    with talking("imu", tmp_path, rows=500) as (_, source):
        blocks = read_until(source, at_least(500))
        ended = time.monotonic_ns()
    times = [t for block in blocks if block.offsets_ns is not None for t in block.offsets_ns + block.monotonic_ns]
    assert len(times) == 500
    assert [began, *times, ended] == sorted([began, *times, ended])


@pytest.mark.parametrize("kind", INSTRUMENTS)
def test_unplugging_loses_the_source_and_replugging_brings_it_back(kind: str, tmp_path: Path) -> None:
    with talking(kind, tmp_path, faults={30: Unplug()}) as (port, source):
        before = read_until_lost(source)
        with pytest.raises(SourceLost, match="there is no port"):
            source.open()
        port.replug()
        source.open()
        after = read_until(source, at_least(1))
    assert rows(before) <= 30
    assert all(row == pytest.approx(port.instrument.values(k), abs=1e-9) for k, row in numbered(before).items())
    truth = [pytest.approx(port.instrument.values(k), abs=1e-9) for k in range(30, port.sent + 1)]
    assert all(row in truth for row in numbered(after).values())
    assert source.counters.unplugged == 1
    assert source.counters.opened == 2


def test_a_row_cut_by_unplugging_is_declared_before_the_source_is_lost() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    with open_serial_source(SourceRequest((Channel("a", ""),)), {"port": os.ttyname(slave), "skip": 0}) as source:
        os.write(master, b"1\n23")
        read_until(source, lambda blocks: rows(blocks) == 1)
        os.close(slave)
        os.close(master)
        block = source.read()
        assert (block.lost, block.reason, block.frames.shape) == (1, "unplugged", (0, 1))
        for _ in range(2):
            with pytest.raises(SourceLost):
                source.read()
    assert source.counters.partial == 1


@pytest.mark.parametrize("kind", ["oximeter", "imu", "imu_cobs"])
def test_rows_that_are_numbered_are_delivered_or_declared_to_the_last_one_over_every_fault(
    kind: str, tmp_path: Path
) -> None:
    ends = {"imu": b"", "imu_cobs": b"\0"}.get(kind, b"\r\n")
    faults: dict[int, Fault] = {
        20: Garble(),
        21: Garble(),
        40: Garbage(b"noise" + ends),
        60: Garbage(b"\xff" * 5000 + ends),
        80: Silence(0.01),
    }
    with talking(kind, tmp_path, {"sequence": "number", "skip": None}, faults=faults) as (port, source):
        blocks: list[Block] = []
        for enough in (200, 400):
            read_until(source, at_least(enough), blocks)
            port.request(Unplug())
            blocks += read_until_lost(source)
            port.replug()
            source.open()
        read_until(source, at_least(600), blocks)
    came = numbered(blocks)
    assert {reason for block in blocks if block.lost for reason in [block.reason]} >= {"undecodable", "unplugged"}
    for index, values in came.items():
        assert values == pytest.approx(port.instrument.values(index), abs=1e-9)
    assert rows(blocks) + lost(blocks) == max(came) + 1
    assert {20, 21}.isdisjoint(came)


def test_silence_gives_empty_blocks(tmp_path: Path) -> None:
    with talking("oximeter", tmp_path, rows=0) as (_, source):
        block = source.read()
    assert block.frames.shape == (0, 3)
    assert block.lost == 0


def test_a_wrong_baud_rate_is_warned_of_once_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = bytes(range(128, 256)) + b"\n"
    faults: dict[int, Fault] = {0: Garbage(noise * 3 * SUSPICIOUS_RUN)}
    with caplog.at_level(logging.WARNING), talking("oximeter", tmp_path, rows=5, faults=faults) as (_, source):
        blocks = read_until(source, at_least(5))
    assert lost(blocks) == 3 * SUSPICIOUS_RUN
    assert source.counters.warnings == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "are baud (19200) and frame right?" in caplog.text


def test_init_starts_the_instrument_on_every_opening(tmp_path: Path) -> None:
    with talking("oximeter", tmp_path, {"init": "START\r\n"}, rows=400) as (port, source):
        read_until(source, at_least(400))
        assert port.received == b"START\r\n"


def test_a_paced_instrument_keeps_its_rate_and_is_read_as_it_talks(tmp_path: Path) -> None:
    instrument = make_instrument("imu")
    with SimulatedInstrument(instrument, tmp_path / "imu") as port:
        given = {"port": str(port.link), **instrument.options}
        with open_serial_source(request_for(instrument), given) as source:
            blocks = read_until(source, at_least(100))
            first = blocks[0].lost  # the frame that the opening cut, if one was on its way
    assert lost(blocks) == first <= 1
    truth = [instrument.values(row) for row in range(port.sent + 1)]
    came = [tuple(row) for block in blocks for row in block.frames.tolist()]
    start = truth.index(came[0])
    assert came == truth[start : start + len(came)]


def test_a_socket_is_a_port_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"socket://127.0.0.1:{server.getsockname()[1]}"
        hang_up = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(2)
                connection.sendall(b'{"a": 1}\n{"a": 2}\n')
                hang_up.wait(30)

        instrument = threading.Thread(target=serve, daemon=True)
        instrument.start()
        options = {"port": address, "parse": "json", "skip": 0, "init": "go"}
        with open_serial_source(SourceRequest((Channel("a", ""),)), options) as source:
            blocks = read_until(source, at_least(2))
            hang_up.set()
            read_until_lost(source)
        instrument.join()
    assert [row for block in blocks for row in block.frames.tolist()] == [[1], [2]]


def test_a_port_server_on_the_network_is_a_port_too(tmp_path: Path) -> None:
    instrument = make_instrument("imu")
    with (
        SimulatedInstrument(instrument, tmp_path / "imu") as port,
        Rfc2217Server(str(port.link)) as server,
        open_serial_source(request_for(instrument), {"port": server.url, **instrument.options}) as source,
    ):
        blocks = read_until(source, at_least(30))
        assert server.baud == instrument.options["baud"]
    assert lost(blocks) <= 1
    assert source.counters.rows >= 30


@pytest.mark.parametrize("kind", INSTRUMENTS)
def test_a_simulated_instrument_is_a_port_too_and_leaves_nothing_behind(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    instrument = make_instrument(kind)
    options = {"port": f"simulated:{kind}", **instrument.options}
    with open_serial_source(request_for(instrument), options) as source:
        came = list(numbered(read_until(source, at_least(2))).values())
    start = next(row for row in range(50) if came[0] == pytest.approx(instrument.values(row), abs=1e-9))
    assert came == [pytest.approx(instrument.values(start + row), abs=1e-9) for row in range(len(came))]
    assert not list(tmp_path.iterdir())


def test_a_loop_is_a_port_too() -> None:
    options = {"port": "loop://", "init": "1;2\n3;4\n", "delimiter": ";", "skip": 0}
    with open_serial_source(SourceRequest((Channel("b", "2"), Channel("a", "1"))), options) as source:
        blocks = read_until(source, at_least(2))
    assert numbered(blocks) == {0: [2, 1], 1: [4, 3]}


@pytest.mark.parametrize(
    ("request_", "options", "error", "message"),
    [
        (SourceRequest((Channel("a", ""),), Fraction(10)), {}, LimitExceeded, "leave out its rate"),
        (
            SourceRequest((Channel("a", "", {"gain": 2}),)),
            {},
            BadOption,
            "channel 'a': gain: a serial channel has no",
        ),
        (SourceRequest((Channel("a", "x"),)), {}, UnknownInput, "no column 'x'"),
        (SourceRequest((Channel("a", ""),)), {"port": ""}, BadOption, "serial: port"),
        (
            SourceRequest((Channel("a", ""),)),
            {"port": "simulated:x"},
            BadOption,
            "no simulated instrument 'x'; .*gps",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_opened(
    request_: SourceRequest, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_serial_source(request_, {"port": "/dev/nothing", **options})


class TestBoard:
    def test_it_is_registered(self) -> None:
        assert load_board("serial") is SerialBoard
        assert SerialBoard.availability() is None

    def test_its_inputs_are_what_the_options_name(self) -> None:
        assert SerialBoard().inputs() == ()
        board = SerialBoard({"port": "/dev/ttyS1", "parse": "nmea", "sentence": "HDT"})
        assert [known.name for known in board.inputs()] == ["heading"]

    def test_a_requests_options_stand_over_the_boards(self) -> None:
        board = SerialBoard({"port": "loop://", "init": "1\n", "skip": 0})
        request = SourceRequest((Channel("a", ""),), options={"init": "2\n"})
        board.check(request)
        with board.open_source(request) as source:
            assert isinstance(source, SerialSource)
            assert numbered(read_until(source, lambda blocks: rows(blocks) == 1)) == {0: [2]}

    def test_it_refuses_a_rate_and_a_missing_port(self) -> None:
        with pytest.raises(LimitExceeded):
            SerialBoard({"port": "loop://"}).check(SourceRequest((Channel("a", ""),), Fraction(1)))
        with pytest.raises(BadOption, match="serial: port: is missing"):
            SerialBoard().check(SourceRequest((Channel("a", ""),)))
