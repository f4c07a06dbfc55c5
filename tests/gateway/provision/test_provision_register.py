"""What was issued and revoked, and what is written of it for the broker and its clients."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.config import DeviceConfig, RelayConfig, load_mapping
from gateway.errors import ConfigError, HeadwaterError
from gateway.mqtt_settings import MqttSettings
from gateway.provision.acl import access_list, plain_access_list
from gateway.provision.register import BROKER, Broker, Certificate, Client, Register, Role, read_register
from gateway.provision.settings import check_folder, mosquitto_conf, mqtt_table

START = datetime(2026, 6, 1, tzinfo=UTC)


def client(role: Role = "device", *streams: str, at: str = "/at") -> Client:
    return Client(role=role, host="broker.lan", at=at, streams=streams)


def certificate(name: str, serial: str, days: int = 100, *, written: bool = True) -> Certificate:
    ends = START + timedelta(days=days)
    return Certificate(name=name, serial=serial, made=START, ends=ends, written=written, pem=serial)


@pytest.fixture
def register() -> Register:
    """A broker and two devices, the first with two certificates."""
    made = Register(root="headwater", broker=Broker(hosts=("broker.lan", "fd00::1"), folder="/etc/m"))
    for name in ("bbb1", "bbb2"):
        made = made.with_client(name, client())
    for one in (certificate(BROKER, "0", 50), certificate("bbb1", "1", 10), certificate("bbb2", "2", 20)):
        made = made.with_certificate(one)
    return made.with_certificate(certificate("bbb1", "3"))


class TestRegister:
    def test_it_is_read_back_as_it_was_written(self, register: Register) -> None:
        revoked = register.without("bbb2", START)
        assert read_register(revoked.dump(), "x") == revoked

    def test_the_newest_is_the_one_that_was_issued_last(self, register: Register) -> None:
        newest = register.newest("bbb1")
        assert newest is not None
        assert newest.serial == "3"
        assert register.newest("nobody") is None

    def test_who_is_due_goes_by_the_newest_certificate_the_broker_first(self, register: Register) -> None:
        assert register.due(START + timedelta(days=60)) == [BROKER, "bbb2"]
        assert register.due(START + timedelta(days=200)) == [BROKER, "bbb1", "bbb2"]
        assert register.due(START) == []

    def test_to_revoke_a_client_is_to_revoke_all_it_ever_had(self, register: Register) -> None:
        after = register.without("bbb1", START)
        assert {one.serial for one in after.revoked()} == {"1", "3"}
        assert "bbb1" not in after.clients
        assert after.newest("bbb1") is None
        assert after.crl == register.crl + 1
        again = after.with_client("bbb1", client()).with_certificate(certificate("bbb1", "4"))
        later = START + timedelta(days=1)
        assert {one.revoked for one in again.without("bbb1", later).revoked()} == {START, later}

    def test_what_was_not_written_is_forgotten_and_so_is_who_has_nothing_else(self, register: Register) -> None:
        after = register.with_client("bbb3", client())
        for name, serial in (("bbb1", "5"), ("bbb2", "6"), ("bbb3", "7")):
            after = after.with_certificate(certificate(name, serial, written=False))
        assert after.newest("bbb2") == register.newest("bbb2")
        settled = after.settled({"5"})
        assert [one.serial for one in settled.certificates] == ["0", "1", "2", "3", "5"]
        assert settled.newest("bbb1") == certificate("bbb1", "5")
        assert set(settled.clients) == {"bbb1", "bbb2"}

    @pytest.mark.parametrize(
        "content",
        [b"", b"[]", b"{", b"\xff", b'{"v": 2}', b'{"v": 1, "root": 5}', b'{"v":1,"root":"a","broker":{}}'],
    )
    def test_what_is_no_register_is_refused(self, content: bytes) -> None:
        with pytest.raises(HeadwaterError, match=r"^pki/provision\.json: "):
            read_register(content, "pki/provision.json")

    def test_a_key_that_is_unknown_is_refused(self, register: Register) -> None:
        content = {**json.loads(register.dump()), "extra": 1}
        with pytest.raises(HeadwaterError, match="unknown key"):
            read_register(json.dumps(content).encode(), "x")


def rules_of(text: str) -> dict[str, set[str]]:
    """The rules of each user."""
    found: dict[str, set[str]] = {}
    user = ""
    for line in text.splitlines():
        if line.startswith("user "):
            user = line.removeprefix("user ")
        elif line.startswith("topic "):
            found.setdefault(user, set()).add(line.removeprefix("topic "))
    return found


class TestAccessList:
    def test_each_client_has_rules_of_its_own(self, register: Register) -> None:
        rules = rules_of(access_list(register.with_client("relay1", client("relay"))))
        assert set(rules) == {"bbb1", "bbb2", "relay1"}
        assert {rule for rule in rules["bbb1"] if rule.startswith("write")} == {"write headwater/bbb1/#"}
        assert all(rule.split()[1].startswith("headwater/bbb1/") for rule in rules["bbb1"])
        assert rules["relay1"] == {"read headwater/#", "write headwater/+/request/+"}

    def test_a_reader_gets_its_streams_and_no_more(self, register: Register) -> None:
        rules = rules_of(access_list(register.with_client("anna", client("reader", "bbb1/ecg"))))
        assert {rule for rule in rules["anna"] if "/stream/" in rule} == {
            f"read headwater/bbb1/stream/ecg/{leaf}" for leaf in ("meta", "batch", "latest")
        }
        assert {rule for rule in rules["anna"] if rule.startswith("write")} == {
            "write headwater/bbb1/request/resend"
        }
        everything = rules_of(access_list(register.with_client("anna", client("reader", "*/*", "*/ecg"))))
        assert "read headwater/+/stream/+/batch" in everything["anna"]

    def test_a_root_of_several_levels_stands_in_every_rule(self, register: Register) -> None:
        elsewhere = register.model_copy(update={"root": "ward/3"})
        for rules in rules_of(access_list(elsewhere) + plain_access_list(elsewhere)).values():
            assert all(rule.split()[1].startswith("ward/3/") for rule in rules)

    def test_it_is_the_same_whatever_the_order_in_which_clients_came(self, register: Register) -> None:
        turned = register.model_copy(update={"clients": dict(reversed(register.clients.items()))})
        assert access_list(turned) == access_list(register)


class TestSettings:
    def test_the_broker_wants_a_certificate_of_everybody_and_goes_by_its_name(self, register: Register) -> None:
        lines = mosquitto_conf(register.broker).splitlines()
        for line in (
            "listener 8883",
            "require_certificate true",
            "use_identity_as_username true",
            "allow_anonymous false",
            "crlfile /etc/m/crl.pem",
            "acl_file /etc/m/acl",
        ):
            assert line in lines

    def test_listeners_have_settings_of_their_own_before_anything_else_is_said(self, register: Register) -> None:
        lines = mosquitto_conf(register.broker.model_copy(update={"plain_port": 1883})).splitlines()
        said = [line for line in lines if line and not line.startswith("#")]
        assert said[0] == "per_listener_settings true"
        assert said[-3:] == ["listener 1883 127.0.0.1", "allow_anonymous true", "acl_file /etc/m/acl-plain"]

    @pytest.mark.parametrize("at", ["/etc/headwater/device", 'C:\\x "y"', "/mit Leerzeichen/ä"])
    def test_the_table_is_toml_whatever_the_folder_is_called(self, register: Register, at: str) -> None:
        table = tomllib.loads(mqtt_table(register, "bbb1", client(at=check_folder(at))))["mqtt"]
        assert table["ca"] == f"{at}/ca.pem"
        assert table["protocol"] == "5"

    def test_device_and_relay_take_it_as_it_is(self, register: Register, tmp_path: Path) -> None:
        for file in ("ca.pem", "cert.pem", "key.pem"):
            (tmp_path / file).touch()
        device = tomllib.loads(mqtt_table(register, "bbb1", client(at=str(tmp_path))))
        stream = [{"name": "ecg", "rate": 1, "channel": [{"name": "a"}]}]
        settings = load_mapping(DeviceConfig, {**device, "stream": stream}, "x").mqtt
        assert (settings.address, settings.key) == ("mqtts://broker.lan:8883", tmp_path / "key.pem")
        relay = tomllib.loads(mqtt_table(register, "r", client("relay", at=str(tmp_path))))
        assert load_mapping(RelayConfig, relay, "x").mqtt[0].protocol == "3.1.1"
        assert isinstance(settings, MqttSettings)

    @pytest.mark.parametrize("folder", ["", "/a\nuser x", "/a\x00"])
    def test_a_path_that_would_add_a_line_is_refused(self, folder: str) -> None:
        with pytest.raises(ConfigError, match="without control characters"):
            check_folder(folder)
