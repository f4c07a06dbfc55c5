"""`headwater doctor` as a person or a script calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.doctor import Finding
from tests.support.mosquitto import Mosquitto
from tests.support.ports import accepts, free_port
from tests.support.processes import HeadwaterProcess
from tests.support.waiting import wait_until

DEVICE = """
[mqtt]
url = "{url}"
[[stream]]
name = "ecg"
rate = {rate}
[[stream.channel]]
name = "lead"
input = "P9_39"
"""


def doctor(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors."""
    with HeadwaterProcess("doctor", *arguments, state=folder) as process:
        return process.wait(), process.out, process.err


def findings(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and what `--json` says of each check but the clock, which is the machine's own."""
    code, out, err = doctor(folder, "--json", *arguments)
    assert not err
    rows = json.loads(out)
    assert all(set(row) == {"check", "ok", "found", "todo"} for row in rows)
    assert all(row["ok"] is (row["todo"] is None) for row in rows)
    assert (code == 0) is all(row["ok"] for row in rows)
    return code, {row["check"]: row for row in rows}


def device(folder: Path, url: str, rate: int = 500) -> str:
    path = folder / "device.toml"
    path.write_text(DEVICE.format(url=url, rate=rate))
    return str(path)


def test_a_device_that_can_run_has_nothing_to_do_but_for_the_machines_clock(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    _, found = findings(tmp_path, device(tmp_path, mosquitto.url))
    assert list(found) == [
        "python", "packages", "date", "clock", "hardware clock", "machine", "board", "stream", "state", "disk",
        "broker", "login",
    ]  # fmt: skip
    assert [name for name, row in found.items() if not row["ok"] and name != "clock"] == []


def test_what_must_be_done_makes_the_exit_code_1(tmp_path: Path) -> None:
    url = f"mqtt://127.0.0.1:{free_port()}"
    code, found = findings(tmp_path, device(tmp_path, url, rate=1_000_000))
    assert code == 1
    assert not found["stream"]["ok"]
    assert not found["broker"]["ok"]
    assert found["state"]["ok"]


def test_without_json_each_check_is_one_line(tmp_path: Path) -> None:
    code, out, err = doctor(tmp_path, device(tmp_path, f"mqtt://127.0.0.1:{free_port()}"))
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert all(line.startswith(("ok     ", "to do  ")) for line in lines)
    assert lines[-1].startswith("to do  broker           nothing listens on")


def test_a_relay_is_known_by_its_tables(mosquitto: Mosquitto, tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(f'[relay]\nlisten = "127.0.0.1:{free_port()}"\n[mqtt]\nurl = "{mosquitto.url}"\n')
    _, found = findings(tmp_path, str(path))
    assert found["listen"]["ok"]
    assert found["login"]["ok"]
    assert "board" not in found


def test_a_relay_that_runs_already_holds_its_port_by_right(mosquitto: Mosquitto, tmp_path: Path) -> None:
    port = free_port()
    path = tmp_path / "relay.toml"
    path.write_text(f'[relay]\nlisten = "127.0.0.1:{port}"\n[mqtt]\nurl = "{mosquitto.url}"\n')
    with HeadwaterProcess("relay", str(path), state=tmp_path) as relay:
        wait_until(lambda: accepts(port) or not relay.running, "the relay")
        _, found = findings(tmp_path, str(path))
        assert found["listen"]["ok"]
        assert f"(process {relay.pid})" in found["listen"]["found"]


def test_without_a_configuration_the_machine_is_looked_at(tmp_path: Path) -> None:
    _, found = findings(tmp_path)
    assert "simulated" in found["boards"]["found"]
    assert "broker" not in found


def test_keys_can_be_overridden(mosquitto: Mosquitto, tmp_path: Path) -> None:
    path = device(tmp_path, "mqtt://broker.invalid")
    _, found = findings(tmp_path, "--set", f"mqtt.url={mosquitto.url}", path)
    assert found["login"]["ok"]


@pytest.mark.parametrize("content", ["[device]\nnam = 'x'", "[relay]\nlisten = 5", "x = [", None])
def test_a_configuration_that_cannot_be_used_makes_the_exit_code_2(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    if content is not None:
        path.write_text(content)
    code, out, err = doctor(tmp_path, str(path))
    assert (code, out) == (2, "")
    assert str(path) in err


def test_a_finding_of_several_lines_is_told_in_one() -> None:
    finding = Finding("board", "two\nlines", "do\n  this")
    assert finding.line() == "board            two lines: do this"
