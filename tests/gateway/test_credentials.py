"""Secrets: read where they are, or where systemd has put them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import DeviceConfig, RelayConfig, load_mapping
from gateway.credentials import readable

STREAM = {"name": "ecg", "rate": 500, "channel": [{"name": "lead_i", "input": "P9_39"}]}


@pytest.fixture
def passed_on(tmp_path: Path) -> Path:
    """What systemd makes of LoadCredential=secrets:/etc/headwater/secrets with one file."""
    path = tmp_path / "credentials" / "secrets_mqtt"
    path.parent.mkdir()
    path.write_text("from systemd\n")
    return path


def test_a_file_that_can_be_read_is_read_where_it_is(tmp_path: Path, passed_on: Path) -> None:
    secret = tmp_path / "secrets" / "mqtt"
    secret.parent.mkdir()
    secret.write_text("from the file\n")

    assert readable(secret, {"CREDENTIALS_DIRECTORY": str(passed_on.parent)}) == secret


def test_a_file_that_cannot_be_read_is_found_among_the_credentials(passed_on: Path) -> None:
    secret = Path("/etc/headwater/nowhere/secrets/mqtt")

    assert readable(secret, {"CREDENTIALS_DIRECTORY": str(passed_on.parent)}) == passed_on


@pytest.mark.parametrize("environment", [{}, {"CREDENTIALS_DIRECTORY": ""}, {"CREDENTIALS_DIRECTORY": "/nowhere"}])
def test_what_is_in_neither_place_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must name a file that can be read"):
        readable(Path("/etc/headwater/nowhere/secrets/mqtt"), environment)


def test_a_credential_of_another_folder_is_not_taken(passed_on: Path) -> None:
    with pytest.raises(ValueError, match="must name a file"):
        readable(Path("/etc/headwater/nowhere/mqtt"), {"CREDENTIALS_DIRECTORY": str(passed_on.parent)})


def test_device_and_relay_take_their_secrets_from_there(passed_on: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(passed_on.parent))
    secret = "/etc/headwater/nowhere/secrets/mqtt"

    device = load_mapping(DeviceConfig, {"mqtt": {"password_file": secret}, "stream": [STREAM]}, "device.toml")
    relay = load_mapping(RelayConfig, {"auth": {"secret_file": secret}}, "relay.toml")

    assert device.mqtt.credentials()[1] == "from systemd"
    assert relay.auth.secret_file == passed_on
