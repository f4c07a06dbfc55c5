"""Broker and ports: each step to the broker passes, or says what is wrong with it."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.doctor import Finding, Machine
from gateway.doctor.network import check_broker, check_listening
from gateway.mqtt_settings import MqttSettings
from tests.gateway.doctor.standin import StandIn
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port


def steps(**settings: object) -> dict[str, Finding]:
    """The findings of each step, by its name."""
    return {finding.check: finding for finding in check_broker(MqttSettings.model_validate(settings))}


def todo(finding: Finding) -> str:
    assert finding.todo is not None, finding
    return finding.todo


class TestReaching:
    def test_a_broker_that_lets_everybody_in_passes(self, mosquitto: Mosquitto) -> None:
        found = steps(url=mosquitto.url)
        assert list(found) == ["broker", "login"]
        assert all(finding.ok for finding in found.values())
        assert "MQTT 5" in found["login"].found

    def test_a_broker_that_is_not_there_is_told_of_and_nothing_after_it(self) -> None:
        port = free_port()
        found = steps(url=f"mqtt://127.0.0.1:{port}")
        assert list(found) == ["broker"]
        assert f"nothing listens on 127.0.0.1:{port}" in found["broker"].found
        assert "mqtt.url" in todo(found["broker"])

    def test_a_name_that_does_not_exist_is_told_of(self) -> None:
        found = steps(url="mqtt://broker.invalid")  # RFC 2606
        assert "'broker.invalid' is not known" in found["broker"].found
        assert "DNS" in todo(found["broker"])

    def test_a_broker_that_takes_no_connection_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.doctor.network.CONNECT_TIMEOUT_S", 0.05)
        with socket.socket() as full, socket.socket() as first:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            first.connect(full.getsockname())  # the queue is full now, and the next one waits
            found = steps(url=f"mqtt://127.0.0.1:{full.getsockname()[1]}")
        assert "did not answer within" in found["broker"].found
        assert "firewall" in todo(found["broker"])

    @pytest.mark.parametrize("host", ["127.255.255.255", "a" * 64 + ".lan"])  # broadcast; no name is so long
    def test_an_address_that_cannot_be_reached_is_told_of(self, host: str) -> None:
        found = steps(url=f"mqtt://{host}")
        assert "cannot be reached" in found["broker"].found
        assert "mqtt.url" in todo(found["broker"])


class TestLogin:
    @pytest.fixture
    def guarded(self, tmp_path: Path) -> Iterator[Mosquitto]:
        with Mosquitto(tmp_path, users={"bbb1": "secret"}) as broker:
            yield broker

    def test_the_right_password_is_accepted(self, guarded: Mosquitto, tmp_path: Path) -> None:
        (tmp_path / "password").write_text("secret\n")
        found = steps(url=f"mqtt://bbb1@127.0.0.1:{guarded.port}", password_file=str(tmp_path / "password"))
        assert found["login"].ok
        assert "user 'bbb1'" in found["login"].found

    @pytest.mark.parametrize(("user", "says"), [("", "nobody (no user"), ("bbb1:wrong@", "user 'bbb1'")])
    def test_another_one_is_refused_in_the_brokers_words(self, guarded: Mosquitto, user: str, says: str) -> None:
        found = steps(url=f"mqtt://{user}127.0.0.1:{guarded.port}")
        assert found["broker"].ok
        assert "Not authorized" in found["login"].found
        assert says in found["login"].found
        assert "password" in todo(found["login"])

    def test_something_that_is_no_broker_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.doctor.network.LOGIN_S", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            found = steps(url=f"mqtt://127.0.0.1:{silent.getsockname()[1]}")
        assert found["broker"].ok
        assert "does not answer" in found["login"].found
        assert "is it an MQTT broker" in todo(found["login"])


CA_CONFIG = """
[ca]
default_ca = here
[here]
database = index
serial = serial
new_certs_dir = .
certificate = ca.crt
private_key = ca.key
default_md = sha256
unique_subject = no
policy = policy
x509_extensions = extensions
[policy]
commonName = supplied
[extensions]
subjectAltName = IP:{address}
"""
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """A certificate authority, by openssl."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca = folder / "ca.crt"
        (folder / "index").touch()
        (folder / "serial").write_text("01\n")
        self._openssl("req", "-x509", *NEW_KEY, "-subj", "/CN=test", "-keyout", "ca.key", "-out", "ca.crt")

    def certify(self, address: str, begins: str, ends: str) -> dict[str, str | int]:
        """Mosquitto's settings with a certificate for that address, valid from day to day (YYYYMMDD)."""
        (self._folder / "ca.conf").write_text(CA_CONFIG.format(address=address))
        self._openssl("req", *NEW_KEY, "-subj", "/CN=broker", "-keyout", "broker.key", "-out", "broker.csr")
        validity = ("-startdate", f"{begins}000000Z", "-enddate", f"{ends}000000Z")
        names = ("-in", "broker.csr", "-out", "broker.crt")
        self._openssl("ca", "-batch", "-notext", "-config", "ca.conf", *validity, *names)
        names_of = {"cafile": "ca.crt", "certfile": "broker.crt", "keyfile": "broker.key"}
        return {setting: str(self._folder / name) for setting, name in names_of.items()}

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=self._folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def day(number: int) -> str:
    """So many days from today."""
    return f"{datetime.now(UTC) + timedelta(days=number):%Y%m%d}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class TestTls:
    def check(self, directory: Path, settings: dict[str, str | int], **mqtt: object) -> dict[str, Finding]:
        with Mosquitto(directory, settings=settings) as broker:
            return steps(url=f"mqtts://127.0.0.1:{broker.port}", **mqtt)

    def test_a_certificate_of_a_known_authority_passes(self, authority: Authority, tmp_path: Path) -> None:
        found = self.check(tmp_path, authority.certify("127.0.0.1", day(-1), day(20)), ca=str(authority.ca))
        assert list(found) == ["broker", "tls", "login"]
        assert all(finding.ok for finding in found.values())
        assert "TLSv1.3" in found["tls"].found

    @pytest.mark.parametrize(
        ("address", "begins", "ends", "known", "says"),
        [
            ("127.0.0.1", -1, 20, False, "mqtt.ca must name"),
            ("127.0.0.2", -1, 20, True, "as its certificate does"),
            ("127.0.0.1", -9, -2, True, "has ended"),
            ("127.0.0.1", 2, 20, True, "not valid yet"),
            ("127.0.0.1", -1, 3, True, "renew it"),
        ],
    )
    def test_any_other_says_what_to_do(
        self, authority: Authority, tmp_path: Path, address: str, begins: int, ends: int, known: bool, says: str
    ) -> None:
        settings = authority.certify(address, day(begins), day(ends))
        found = self.check(tmp_path, settings, **({"ca": str(authority.ca)} if known else {}))
        assert list(found) == ["broker", "tls"]
        assert says in todo(found["tls"])

    def test_a_broker_without_tls_is_told_of(self, mosquitto: Mosquitto) -> None:
        found = steps(url=f"mqtts://127.0.0.1:{mosquitto.port}")
        assert "no TLS connection" in found["tls"].found
        assert "8883" in todo(found["tls"])

    def test_a_file_that_holds_no_certificate_is_told_of(self, mosquitto: Mosquitto, tmp_path: Path) -> None:
        (tmp_path / "empty").write_text("")
        found = steps(url=f"mqtts://127.0.0.1:{mosquitto.port}", ca=str(tmp_path / "empty"))
        assert "mqtt.ca" in todo(found["tls"])

    def test_a_client_without_the_certificate_that_is_wanted_is_told_of(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        settings = {**authority.certify("127.0.0.1", day(-1), day(20)), "require_certificate": "true"}
        found = self.check(tmp_path, settings, ca=str(authority.ca))
        assert found["tls"].ok
        assert "mqtt.cert" in todo(found["login"])


class TestListening:
    def test_a_free_port_is_free(self) -> None:
        assert check_listening("127.0.0.1", free_port(), "relay.listen", Machine()).ok

    def test_a_taken_port_names_who_took_it(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            finding = check_listening("127.0.0.1", taken.getsockname()[1], "relay.listen", Machine())
        assert "is taken by" in finding.found
        assert "process" in finding.found
        assert "relay.listen" in todo(finding)

    @pytest.mark.parametrize("command", ["/usr/bin/headwater", "/usr/bin/nginx"])
    def test_a_port_that_headwater_holds_is_as_it_should_be(self, tmp_path: Path, command: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            there, port = StandIn(tmp_path), int(taken.getsockname()[1])
            row = f" 0: 0100007F:{port:04X} 00000000:0000 0A 0:0 00:0 0 0 0 4711 1"
            there.write("/proc/net/tcp", f"  sl  local_address …\n{row}\n")
            there.run(812, command, "relay", files=["socket:[4711]"])
            finding = check_listening("127.0.0.1", port, "relay.listen", there.machine)
        assert finding.ok is command.endswith("headwater")
        assert "(process 812)" in finding.found

    def test_a_taken_port_whose_holder_is_hidden_says_how_to_see_it(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            finding = check_listening("127.0.0.1", taken.getsockname()[1], "relay.listen", Machine(tmp_path))
        assert "sudo ss" in todo(finding)

    def test_an_address_of_another_machine_is_told_of(self) -> None:
        finding = check_listening("192.0.2.1", 8080, "relay.listen", Machine())  # RFC 5737
        assert "an address of this machine" in todo(finding)
