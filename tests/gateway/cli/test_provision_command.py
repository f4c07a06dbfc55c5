"""`headwater provision` as somebody types it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gateway.cli.conftest import Cli, Result
from tests.support.processes import ROOT, clean_environment
from tests.support.secure import ME

Provision = Callable[..., Result]


@pytest.fixture
def provision(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Provision:
    """`headwater provision …` in an empty folder; it must go well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADWATER_PROVISION_DIR", raising=False)

    def run(*arguments: str, code: int = 0) -> Result:
        result = cli("provision", *arguments)
        assert result.code == code, result
        return result

    return run


@pytest.fixture
def pki(provision: Provision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that init has made; it is the current one."""
    provision("init", "pki", "--broker", "Broker.lan", "--broker", "192.168.7.1", "--at", str(tmp_path / "m"))
    monkeypatch.chdir(tmp_path / "pki")
    return tmp_path / "pki"


def test_from_nothing_to_a_broker_and_its_clients(provision: Provision, pki: Path, tmp_path: Path) -> None:
    made = provision("device", "bbb1", "bbb2")
    assert [line.partition(";")[0] for line in made.out[:2]] == [
        "devices/bbb1: ca.pem, cert.pem, key.pem, mqtt.toml",
        "devices/bbb2: ca.pem, cert.pem, key.pem, mqtt.toml",
    ]
    assert re.search(r"; good until \d{4}-\d\d-\d\d$", made.out[0])
    assert made.out[2].startswith("The broker does not know yet: 'headwater provision install'")
    provision("relay", "relay1", "--broker", "192.168.7.1", "--at", "/opt/relay")
    provision("relay", "beside", "--broker", "localhost")
    assert 'url = "mqtts://localhost:8883"' in (pki / "relays/beside/mqtt.toml").read_text()
    provision("reader", "anna", "--stream", "bbb1/*", "--stream", "*/ecg")
    assert 'url = "mqtts://broker.lan:8883"' in (pki / "devices/bbb1/mqtt.toml").read_text()
    assert 'key = "/etc/headwater/device/key.pem"' in (pki / "devices/bbb1/mqtt.toml").read_text()
    assert 'url = "mqtts://192.168.7.1:8883"' in (pki / "relays/relay1/mqtt.toml").read_text()
    assert 'key = "/opt/relay/key.pem"' in (pki / "relays/relay1/mqtt.toml").read_text()
    assert f'key = "{pki}/readers/anna/key.pem"' in (pki / "readers/anna/mqtt.toml").read_text()
    assert "topic read headwater/+/stream/ecg/batch" in (pki / "broker/acl").read_text()
    installed = provision("install", "--conf", str(tmp_path / "headwater.conf"), "--owner", ME)
    assert installed.out[1] == "Now: systemctl restart mosquitto"
    assert provision("check").out == [".: all is well"]
    again = provision("install", "--conf", str(tmp_path / "headwater.conf"), "--owner", ME)
    assert again.out == [f"{tmp_path}/m: nothing changed"]
    provision("device", "bbb3")
    assert (
        "systemctl reload"
        in provision("install", "--conf", str(tmp_path / "headwater.conf"), "--owner", ME).out[1]
    )


def test_the_folder_can_be_named_from_elsewhere(
    provision: Provision, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    provision("device", "--dir", str(pki), "bbb1")
    monkeypatch.setenv("HEADWATER_PROVISION_DIR", str(pki))
    assert len(provision("list").out) == 3


def test_the_list_says_who_has_which_certificate_and_until_when(provision: Provision, pki: Path) -> None:
    provision("device", "bbb1", "bbb2")
    provision("renew", "bbb1", "--for", "1d")
    provision("revoke", "bbb2")
    header, broker, device = provision("list").out
    assert header.split() == ["name", "role", "ends", "state", "serial"]
    assert broker.split()[:2] == ["-", "broker"]
    assert device.split()[:2] == ["bbb1", "device"]
    assert "ends soon" in device
    rows = json.loads("\n".join(provision("list", "--all", "--json").out))
    assert [(row["name"], row["role"]) for row in rows] == [
        ("", "broker"), ("bbb1", "device"), ("bbb2", ""), ("bbb1", "device")
    ]  # fmt: skip
    assert rows[2]["state"].startswith("revoked ")
    assert set(rows[0]) == {"name", "role", "serial", "made", "ends", "state"}


def test_renew_finds_who_needs_it(provision: Provision, pki: Path) -> None:
    provision("device", "bbb1", "--for", "80d")
    provision("device", "bbb2")
    key = (pki / "devices/bbb1/key.pem").read_bytes()
    renewed = provision("renew")
    assert renewed.out[0].startswith("devices/bbb1: ")
    assert renewed.out[1].startswith("Copy cert.pem to where its client reads it")
    assert len(renewed.out) == 2
    assert (pki / "devices/bbb1/key.pem").read_bytes() == key
    assert provision("renew").out[0].startswith("No certificate ends before ")
    everybody = provision("renew", "--within", "3650d", "--new-key").out
    assert [line.partition(":")[0] for line in everybody[:3]] == ["broker", "devices/bbb1", "devices/bbb2"]
    assert (pki / "devices/bbb1/key.pem").read_bytes() != key
    assert everybody[-1].startswith("The broker does not know yet")


def test_a_broker_that_moves_says_who_still_looks_for_it_elsewhere(provision: Provision, pki: Path) -> None:
    provision("device", "bbb1")
    provision("device", "bbb2", "--broker", "192.168.7.1")
    moved = provision("broker", "192.168.7.1", "new.lan").out
    assert moved[1] == "bbb1: still asks for broker.lan: change its mqtt.url"
    assert not any("bbb2" in line for line in moved)


def test_check_ends_with_1_when_something_must_be_done(provision: Provision, pki: Path) -> None:
    provision("device", "bbb1")
    (pki / "devices/bbb1/key.pem").chmod(0o644)
    assert provision("check", code=1).out[0].startswith("devices/bbb1/key.pem: others may read it: chmod 600 ")


def test_a_second_time_is_no_accident(provision: Provision, pki: Path) -> None:
    provision("device", "bbb1")
    before = {path: path.read_bytes() for path in (pki / "devices/bbb1").iterdir()}
    refused = provision("device", "bbb2", "bbb1", code=2)
    assert refused.err == [
        "headwater: devices/bbb1: is there already; 'headwater provision renew bbb1' makes a new certificate, "
        "--force a new key too"
    ]
    assert not (pki / "devices/bbb2").exists(), "nor is anything done for the others"
    assert {path: path.read_bytes() for path in (pki / "devices/bbb1").iterdir()} == before
    provision("device", "bbb1", "--force")
    assert {path: path.read_bytes() for path in (pki / "devices/bbb1").iterdir()} != before


BAD: dict[str, tuple[list[str], str]] = {
    "wildcard": (["device", "+"], "name '+' is not allowed: it must be 1 to 64 letters, digits, '_', '-' or '.',"),
    "everything": (["device", "#"], "name '#' is not allowed: "),
    "several levels": (["device", "a/b"], "name 'a/b' is not allowed: "),
    "empty": (["device", ""], "name '' is not allowed: "),
    "not ASCII": (["device", "gerät"], "name 'gerät' is not allowed: "),
    "control characters": (["device", "a\nuser x"], "name 'a\\nuser x' is not allowed: "),
    "too long": (["relay", "x" * 300], f"name '{'x' * 99} is not allowed: "),
    "a relay with a device's name": (["relay", "bbb1"], "'bbb1' is the name of a device; each client needs"),
    "nobody": (["revoke", "bbb9"], "there is no client 'bbb9'; 'headwater provision list' names those there are"),
    "renew nobody": (["renew", "bbb9"], "there is no client 'bbb9'; "),
    "the broker is none": (["revoke", ""], "there is no client ''; "),
    "part of a name": (["reader", "eva", "--stream", "bbb*/ecg"], "stream 'bbb*/ecg' is not allowed: it must be"),
    "foreign broker": (
        ["device", "b", "--broker", "x.lan"],
        "--broker 'x.lan': the broker's certificate is for broker.lan, 192.168.7.1",
    ),
    "folder": (["device", "b", "--at", "/a\nb"], "folder '/a\\nb' is not allowed: it must be a path without"),
    "lifetime": (["device", "b", "--for", "soon"], "Invalid value for '--for': must be a duration such as"),
    "within": (["renew", "--within", "soon"], "Invalid value for '--within': must be a duration such as"),
    "init again": (
        ["init", "../pki", "--broker", "a"],
        "../pki: is there already, and nothing is written",
    ),
    "broker": (["init", "new", "--broker", "*.lan"], "broker '*.lan' is not allowed: it must be a host's name"),
    "root": (
        ["init", "new", "--broker", "a", "--root", "#"],
        "root '#' is not allowed: each of its levels",
    ),
    "one port for two": (
        ["init", "new", "--broker", "a", "--port", "1883", "--plain", "1883"],
        "Invalid value for --plain: must be another port than --port.",
    ),
    "where the broker is": (
        ["init", "new", "--broker", "a", "--at", "m"],
        "Invalid value for --at: must be an absolute path.",
    ),
    "no broker": (["init", "new"], "Missing option '--broker'."),
    "no folder": (
        ["list", "--dir", "/tmp"],
        "/tmp: holds no provision.json; 'headwater provision init DIR'",
    ),
    "no user": (
        ["install", "--owner", "no-such"],
        "there is no user 'no-such' on this machine: install",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_mistake_is_one_line_and_changes_nothing(provision: Provision, pki: Path, what: str) -> None:
    provision("device", "bbb1")
    before = {path: path.read_bytes() for path in pki.rglob("*") if path.is_file()}
    arguments, said = BAD[what]
    result = provision(*arguments, code=2)
    assert result.out == []
    assert len(result.err) == 1
    assert result.err[0].startswith(f"headwater: {said}")
    assert {path: path.read_bytes() for path in pki.rglob("*") if path.is_file()} == before
    assert not (pki / "new").exists()


WITHOUT = """
import sys
sys.modules["cryptography"] = None
from gateway.cli import main
main()
"""


@pytest.mark.parametrize(
    ("arguments", "code"), [(["list"], 2), (["init", "x", "--broker", "a"], 2), (["device", "--help"], 0)]
)
def test_without_cryptography_it_says_how_to_get_it(tmp_path: Path, arguments: list[str], code: int) -> None:
    command = [sys.executable, "-c", WITHOUT, "provision", *arguments]
    environment = {**clean_environment(), "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == code, ran
    if code:
        said = "headwater: provision: cryptography is not installed; pip install 'headwater[keys]'\n"
        assert ran.stderr == said


@pytest.mark.parametrize(
    "name", ["init", "device", "relay", "reader", "renew", "broker", "revoke", "list", "check", "install"]
)
def test_each_of_its_commands_has_help(provision: Provision, name: str) -> None:
    assert provision(name, "--help").out[0].startswith(f"Usage: headwater provision {name} ")
    assert f"  {name} " in "\n".join(provision("--help").out)
