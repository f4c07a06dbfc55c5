"""`headwater sub`: a stream as text."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.codec import CODECS
from gateway.model import Batch, Gap, Message
from gateway.topics import Topics
from tests.gateway.cli.conftest import Cli, Result
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.processes import ROOT, HeadwaterProcess, clean_environment
from tests.support.waiting import wait_until

topics = Topics()
BATCH = topics.batch("bbb1", "ecg")
META = topics.meta("bbb1", "ecg")
UTC_NS = 1_700_000_000_000_000_000
"""2023-11-14 22:13:20."""


def ecg(index: int, *rows: tuple[float, ...], dtype: str = "int16") -> Batch:
    """Frames at 500 Hz since UTC_NS."""
    return Batch(7, index, UTC_NS + index * 2_000_000, 0, np.array(rows, dtype=dtype), rate=Fraction(500))


def cbor(message: Message) -> tuple[str, bytes]:
    return BATCH, CODECS["cbor"].encode(message)


def meta(*channels: dict[str, Any], **more: Any) -> tuple[str, bytes]:
    return META, json.dumps({"v": 1, "channels": channels, **more}).encode()


LEADS = ({"name": "lead_i", "unit": "mV", "scale": 0.5, "offset": -1}, {"name": "lead_ii"})

Sub = Callable[..., Result]


@pytest.fixture
def sub(cli: Cli, mosquitto: Mosquitto) -> Sub:
    """`headwater sub bbb1/ecg …`, to which the messages are sent as soon as it listens."""

    def run(messages: list[tuple[str, bytes]], *arguments: str) -> Result:
        with sent_when_subscribed(mosquitto, messages):
            return cli("sub", "bbb1/ecg", "--url", mosquitto.url, *arguments)

    return run


@contextmanager
def sent_when_subscribed(broker: Mosquitto, messages: list[tuple[str, bytes]]) -> Iterator[None]:
    before = broker.log.count("Sending SUBACK")

    def send() -> None:
        wait_until(lambda: broker.log.count("Sending SUBACK") == before + 2, "the subscriptions")
        with Peer(broker.port) as peer:
            for topic, payload in messages:
                peer.publish(topic, payload)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        yield
    finally:
        sending.join()


def test_csv_has_a_header_times_indices_and_physical_values(sub: Sub) -> None:
    result = sub([meta(*LEADS), cbor(ecg(10, (4, 7), (6, -8)))], "--count", "2")
    assert (result.code, result.err) == (0, [])
    assert result.out == [
        "time,index,lead_i [mV],lead_ii",
        "2023-11-14T22:13:20.020000Z,10,1,7",
        "2023-11-14T22:13:20.022000Z,11,2,-8",
    ]


def test_a_gap_is_a_line_in_its_place_and_counts_as_its_frames(sub: Sub) -> None:
    messages = [meta(*LEADS), cbor(ecg(0, (4, 7))), cbor(Gap(7, 1, 3, "overrun")), cbor(ecg(4, (4, 8)))]
    result = sub(messages, "--count", "4")
    assert result.out[2:] == ["# gap: 3 frames from index 1: overrun"]
    assert sub(messages, "--count", "5").out[3].endswith(",4,1,8")


def test_the_count_ends_within_a_batch(sub: Sub) -> None:
    assert len(sub([cbor(ecg(0, *[(n,) for n in range(50)]))], "--count", "3").out) == 1 + 3


def test_without_a_meta_the_columns_are_numbered_and_raw(sub: Sub) -> None:
    result = sub([cbor(ecg(0, (4, 7)))], "--count", "1")
    assert result.out[0] == "time,index,column_0,column_1"
    assert result.out[1].endswith(",0,4,7")


def test_another_meta_makes_another_header(sub: Sub) -> None:
    result = sub([meta(*LEADS), cbor(ecg(0, (4, 7))), meta(LEADS[1]), cbor(ecg(1, (5,)))], "--count", "2")
    assert [line for line in result.out if line.startswith("time")] == [
        "time,index,lead_i [mV],lead_ii",
        "time,index,lead_ii",
    ]


def test_a_unit_with_a_comma_stays_one_cell(sub: Sub) -> None:
    result = sub([meta({"name": "x", "unit": "{a,b}"}), cbor(ecg(0, (4,)))], "--count", "1")
    assert result.out[0] == 'time,index,"x [{a,b}]"'


def test_json_is_an_object_a_frame(sub: Sub) -> None:
    messages = [meta(*LEADS), cbor(ecg(0, (4, 7))), cbor(Gap(7, 1, 3, "late"))]
    first, second = (json.loads(line) for line in sub(messages, "--count", "4", "--format", "json").out)
    assert first == {
        "time": "2023-11-14T22:13:20.000000Z",
        "epoch": 7,
        "index": 0,
        "values": {"lead_i": 1.0, "lead_ii": 7.0},
    }
    assert second == {"gap": {"epoch": 7, "index": 1, "count": 3, "reason": "late"}}


def test_json_has_null_for_what_is_not_a_number(sub: Sub) -> None:
    (line,) = sub([cbor(ecg(0, (np.nan, np.inf), dtype="float32"))], "--count", "1", "--format", "json").out
    assert json.loads(line)["values"] == {"column_0": None, "column_1": None}
    assert "null" in line


def test_hex_is_the_message_as_it_came(sub: Sub) -> None:
    messages = [cbor(ecg(0, (4, 7))), cbor(Gap(7, 1, 3, "late"))]
    result = sub(messages, "--count", "2", "--format", "hex")
    assert [bytes.fromhex(line) for line in result.out] == [payload for _, payload in messages]


def test_a_stream_of_the_json_codec_is_read_by_its_meta(sub: Sub) -> None:
    message = BATCH, CODECS["json"].encode(ecg(0, (4, 7)))
    assert sub([meta(*LEADS, codec="json"), message], "--count", "1").out[1].endswith(",0,1,7")


def test_what_is_no_message_is_passed_over(sub: Sub, caplog: pytest.LogCaptureFixture) -> None:
    hostile = [(BATCH, b"\xff"), (BATCH, b""), (META, b"[]"), (META, b"")]
    hostile.append((META, b'{"codec": ["cbor"], "channels": 5}'))
    result = sub([*hostile, cbor(ecg(0, (4, 7)))], "--count", "1")
    assert result.code == 0
    assert result.out[1].endswith(",0,4,7")
    assert sum("undecodable" in message for message in caplog.messages) == 3


def test_it_ends_after_its_duration_though_nothing_comes(cli: Cli, mosquitto: Mosquitto) -> None:
    result = cli("sub", "bbb1/nothing", "--url", mosquitto.url, "--duration", "0.1")
    assert (result.code, result.out, result.err) == (0, [], [])


def test_the_address_may_be_in_the_environment_and_the_root_another(
    cli: Cli, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWATER_URL", mosquitto.url)
    message = Topics("lab/a").batch("bbb1", "ecg"), cbor(ecg(0, (4,)))[1]
    with sent_when_subscribed(mosquitto, [message]):
        assert len(cli("sub", "bbb1/ecg", "--root", "lab/a", "--count", "1").out) == 2


def process_on(broker: Mosquitto) -> tuple[list[str], dict[str, str]]:
    """The command, and an environment whose terminal knows the letters of Western Europe."""
    command = [sys.executable, "-m", "gateway", "sub", "bbb1/ecg", "--url", broker.url]
    return command, {**clean_environment(), "PYTHONIOENCODING": "latin-1"}


def test_a_reader_who_has_enough_ends_it_silently(mosquitto: Mosquitto) -> None:
    command, environment = process_on(mosquitto)
    rows = [(number,) for number in range(5000)]
    with (
        sent_when_subscribed(mosquitto, [cbor(ecg(0, *rows)) for _ in range(20)]),
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "time,index,column_0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(20) == 0


def test_a_full_disk_is_one_line(mosquitto: Mosquitto) -> None:
    command, environment = process_on(mosquitto)
    with sent_when_subscribed(mosquitto, [cbor(ecg(0, (4,)))]), Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 2
    assert ended.stderr == "headwater: [Errno 28] No space left on device\n"


def test_a_terminal_without_the_letter_gets_its_number(mosquitto: Mosquitto, tmp_path: Path) -> None:
    command, environment = process_on(mosquitto)
    with (
        sent_when_subscribed(mosquitto, [meta({"name": "x", "unit": "mΩ"}), cbor(ecg(0, (4,)))]),
        HeadwaterProcess(*command[3:], "--count", "1", state=tmp_path, environment=environment) as process,
    ):
        assert process.wait() == 0
        assert process.out.splitlines()[0] == r"time,index,x [m\u03a9]"
        assert process.err == ""
