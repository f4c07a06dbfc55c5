"""The configuration and the bundle of a board."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deploy.rollout.errors import DeployError
from deploy.rollout.files import differing, gather

MQTT = '[mqtt]\nurl = "mqtts://broker"\nkey = "/etc/headwater/device/key.pem"\n'


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """As `headwater provision device` makes it."""
    folder = tmp_path / "bbb1"
    folder.mkdir()
    (folder / "mqtt.toml").write_text(MQTT)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text('[device]\nname = "bbb1"')
    return path


def test_a_configuration_gets_the_name_that_it_has_on_the_board(config: Path) -> None:
    assert gather("device.toml", config, None) == {"device.toml": b'[device]\nname = "bbb1"'}
    assert gather("device.toml", None, None) == {}


def test_a_bundles_files_go_where_it_says_and_its_table_into_the_configuration(config: Path, bundle: Path) -> None:
    files = gather("device.toml", config, bundle)
    assert files.keys() == {"device.toml", "device/ca.pem", "device/cert.pem", "device/key.pem"}
    assert files["device.toml"].decode() == f'[device]\nname = "bbb1"\n\n{MQTT}'


def test_what_provision_makes_is_such_a_bundle(config: Path, tmp_path: Path) -> None:
    pki = str(tmp_path / "pki")
    for words in (["init", pki, "--broker", "broker.lan"], ["device", "bbb1", "--dir", pki]):
        subprocess.run([sys.executable, "-m", "gateway", "provision", *words], check=True, capture_output=True)
    files = gather("device.toml", config, tmp_path / "pki" / "devices" / "bbb1")
    assert files.keys() == {"device.toml", "device/ca.pem", "device/cert.pem", "device/key.pem"}
    table = tomllib.loads(files["device.toml"].decode())["mqtt"]
    for name in ("ca", "cert", "key"):
        assert table[name].removeprefix("/etc/headwater/") in files


def test_what_contradicts_itself_is_refused(config: Path, bundle: Path) -> None:
    with pytest.raises(DeployError, match=r"CONFIG=device\.toml"):
        gather("device.toml", None, bundle)
    config.write_text("[mqtt]\n")
    with pytest.raises(
        DeployError, match=r"mine\.toml: has a table \[mqtt\], and so has .*mqtt\.toml: take it out"
    ):
        gather("device.toml", config, bundle)
    config.write_text("[device\n")
    with pytest.raises(DeployError, match=r"mine\.toml: not TOML: .* \(at line 1"):
        gather("device.toml", config, bundle)
    config.write_text("")
    (bundle / "mqtt.toml").write_text('[mqtt]\nkey = "/root/key.pem"\n')
    with pytest.raises(DeployError, match="must be below /etc/headwater"):
        gather("device.toml", config, bundle)
    with pytest.raises(DeployError, match="cannot be read: No such file"):
        gather("device.toml", config, bundle / "nowhere")


def test_only_what_differs_is_new() -> None:
    there = {"same": hashlib.sha256(b"same").hexdigest(), "changed": "0", "only there": "0"}
    assert differing({"same": b"same", "changed": b"new", "fresh": b""}, there) == ["changed", "fresh"]
