"""Connecting with TLS: whom to trust, and who has to show a certificate."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import BrokerError
from gateway.mqtt import Connection
from gateway.mqtt_settings import MqttSettings
from tests.gateway.mqtt_witness import Witness, connected, settings_for, up_of
from tests.support.mosquitto import Mosquitto
from tests.support.secure import Provisioned, SecureMosquitto
from tests.support.stub_broker import StubBroker
from tests.support.waiting import wait_until


class TestCertificates:
    """Who has none, or one that is not accepted, is told so after the handshake: RFC 8446, section 4.4.2.4."""

    @pytest.fixture
    def guarded(self, tmp_path: Path) -> Iterator[SecureMosquitto]:
        provisioned = Provisioned(tmp_path)
        provisioned.add("device", "bbb1")
        with SecureMosquitto(provisioned) as broker:
            yield broker

    def settings(self, broker: SecureMosquitto, protocol: str, **files: Path) -> MqttSettings:
        ca = broker.provisioned.path / "ca" / "ca.pem"
        return settings_for(broker.url, protocol=protocol, **{"ca": ca, **files})

    @pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
    def test_who_has_one_gets_in(self, guarded: SecureMosquitto, protocol: str) -> None:
        bundle = guarded.provisioned.path / "devices" / "bbb1"
        files = {"cert": bundle / "cert.pem", "key": bundle / "key.pem"}
        with connected(self.settings(guarded, protocol, **files), Witness()) as connection:
            assert up_of(connection).protocol == ("3.1.1" if protocol == "3.1.1" else "5")

    @pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
    def test_who_has_none_is_told_what_to_look_at(self, guarded: SecureMosquitto, protocol: str) -> None:
        witness = Witness()
        with connected(self.settings(guarded, protocol), witness):
            wait_until(lambda: witness.refusals, "the refusal")
        said = witness.refusals[0].replace(" (certificate required)", "")  # which mosquitto says now and then
        assert said == (
            f"127.0.0.1:{guarded.port}: the broker hung up: does it want a client's certificate (mqtt.cert, "
            f"mqtt.key), or is this one ended, revoked, or of another authority?"
        )

    def test_a_broker_that_is_not_trusted_is_said_to_be_so(self, guarded: SecureMosquitto, tmp_path: Path) -> None:
        other = Provisioned(tmp_path / "other")
        witness = Witness()
        with connected(self.settings(guarded, "5", ca=other.path / "ca" / "ca.pem"), witness):
            wait_until(lambda: witness.refusals, "the refusal")
        assert "certificate verify failed" in witness.refusals[0]

    def test_without_tls_nothing_is_said_of_certificates(self) -> None:
        witness = Witness()
        with StubBroker("hang up") as broker, connected(settings_for(broker.url), witness):
            wait_until(lambda: witness.refusals, "the refusal")
        assert witness.refusals[0].endswith(": the broker hung up")


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        """A certificate for 127.0.0.1 that vouches for itself."""
        folder = tmp_path / "tls"
        folder.mkdir()
        names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        files = ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
        subprocess.run(
            ["openssl", "req", "-x509", "-days", "2", *names, *key, *files], check=True, capture_output=True
        )
        return folder

    @pytest.fixture
    def broker(self, certificate: Path, tmp_path: Path) -> Iterator[Mosquitto]:
        files = {"certfile": certificate / "cert.pem", "keyfile": certificate / "key.pem"}
        with Mosquitto(tmp_path, settings={key: str(path) for key, path in files.items()}) as running:
            yield running

    def url(self, broker: Mosquitto) -> str:
        return broker.url.replace("mqtt:", "mqtts:")

    def test_a_broker_whose_authority_is_given_is_trusted(self, broker: Mosquitto, certificate: Path) -> None:
        settings = settings_for(self.url(broker), ca=certificate / "cert.pem")
        with connected(settings, Witness()) as connection:
            wait_until(lambda: connection.up, "the connection")

    def test_a_broker_that_nobody_vouches_for_is_not(self, broker: Mosquitto) -> None:
        witness = Witness()
        with connected(settings_for(self.url(broker)), witness):
            wait_until(lambda: witness.refusals, "the refusal")
        assert "certificate verify failed" in witness.refusals[0]
        assert witness.ups == []

    def test_a_broker_that_wants_a_certificate_of_the_client_is_tried_again_and_again(
        self, certificate: Path, tmp_path: Path
    ) -> None:
        ours = str(certificate / "cert.pem")
        files = {"cafile": ours, "certfile": ours, "keyfile": str(certificate / "key.pem")}
        witness, broker = Witness(), Mosquitto(tmp_path, settings={**files, "require_certificate": "true"})
        with broker, connected(settings_for(self.url(broker), ca=ours), witness):
            wait_until(lambda: len(witness.refusals) >= 2, "two refusals")
        assert witness.ups == []

    def test_an_authority_that_is_no_certificate_is_refused_at_the_start(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("nothing")
        connection = Connection(
            settings_for("mqtts://me:geheim@127.0.0.1", ca=tmp_path / "ca.pem"),
            Witness().handlers,
            client_id="test",
        )
        with pytest.raises(BrokerError, match=r"cannot set up the connection to mqtts://me:\*\*\*@127.0.0.1: "):
            connection.start()
