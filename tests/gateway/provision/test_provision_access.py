"""What mosquitto lets through, and whom it lets in, when it is set up by `headwater provision`."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from tests.gateway.provision.conftest import Join
from tests.support.ports import free_port
from tests.support.secure import HOST, Certified, Provisioned, SecureMosquitto, context_of, now
from tests.support.waiting import wait_until

SUCCESS, NO_SUBSCRIBERS, NOT_AUTHORIZED = 0, 16, 135
"""Reason codes of PUBACK: MQTT 5, section 3.4.2.1."""

OF_DEVICE = ["status", "health", "stream/ecg/meta", "stream/ecg/batch", "stream/ecg/latest", "event/device/step"]


class TestDevice:
    @pytest.mark.parametrize("leaf", OF_DEVICE)
    def test_it_writes_under_its_own_name(self, join: Join, leaf: str) -> None:
        relay, device = join("relays/relay1", "headwater/#"), join("devices/bbb1")
        assert device.publish(f"headwater/bbb1/{leaf}") == SUCCESS
        assert relay.wait_for(f"headwater/bbb1/{leaf}") == [(f"headwater/bbb1/{leaf}", b"x")]

    @pytest.mark.parametrize("protocol", [MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311])
    def test_nothing_comes_of_what_it_writes_under_another_name(
        self, join: Join, protocol: MQTTProtocolVersion
    ) -> None:
        """In MQTT 3.1.1 the broker acknowledges it all the same, so the proof is at the other end."""
        relay, device = join("relays/relay1", "#"), join("devices/bbb1", protocol=protocol)
        foreign = [f"headwater/bbb2/{leaf}" for leaf in (*OF_DEVICE, "request/resend")]
        foreign += ["headwater", "headwater/bbb11/status", "other/bbb1/status", "bbb1/status"]
        answers = {device.publish(topic, retain=True) for topic in foreign}
        assert answers == ({NOT_AUTHORIZED} if protocol == MQTTProtocolVersion.MQTTv5 else {SUCCESS})
        device.publish("headwater/bbb1/status", b"control")
        assert relay.wait_for("headwater/bbb1/status") == [("headwater/bbb1/status", b"control")]

    def test_its_will_under_another_name_is_not_published(self, join: Join) -> None:
        relay = join("relays/relay1", "headwater/#")
        liar = join("devices/bbb1", will=("headwater/bbb2/status", b"dead"))
        honest = join("devices/bbb1", will=("headwater/bbb1/status", b"dead"))
        liar.break_off()
        wait_until(lambda: not liar.connected, "the end of the liar")
        honest.break_off()
        assert relay.wait_for("headwater/bbb1/status") == [("headwater/bbb1/status", b"dead")]

    def test_it_hears_what_it_is_asked_and_nothing_of_others(self, join: Join) -> None:
        device, relay = (
            join("devices/bbb1", "#", "headwater/bbb2/#", "headwater/+/request/+"),
            join("relays/relay1"),
        )
        other = join("devices/bbb2")
        for leaf in OF_DEVICE:
            assert other.publish(f"headwater/bbb2/{leaf}", retain=True) in (SUCCESS, NO_SUBSCRIBERS)
        relay.publish("headwater/bbb2/request/resend")
        relay.publish("headwater/bbb1/request/resend", b"control")
        assert set(device.wait_for("headwater/bbb1/request/resend")) == {
            ("headwater/bbb1/request/resend", b"control")
        }

    def test_it_hears_what_is_retained_of_itself_but_not_its_samples(self, join: Join) -> None:
        """Who has stolen a device's key cannot listen to it from afar."""
        writing = join("devices/bbb1")
        for leaf in OF_DEVICE:
            writing.publish(f"headwater/bbb1/{leaf}", retain=True)
        reading = join("devices/bbb1", "headwater/bbb1/#")
        heard = {topic for topic, _ in reading.wait_for("headwater/bbb1/stream/ecg/latest")}
        writing.publish("headwater/bbb1/stream/ecg/batch")
        writing.publish("headwater/bbb1/health", b"control")
        wait_until(lambda: ("headwater/bbb1/health", b"control") in reading.heard, "the control")
        heard |= {topic for topic, _ in reading.heard}
        assert heard == {
            f"headwater/bbb1/{leaf}" for leaf in OF_DEVICE if "batch" not in leaf and "event" not in leaf
        }


class TestRelay:
    def test_it_reads_everything_and_writes_requests_only(self, join: Join) -> None:
        relay, device = join("relays/relay1", "headwater/#"), join("devices/bbb1", "headwater/bbb1/request/+")
        for leaf in OF_DEVICE:
            device.publish(f"headwater/bbb1/{leaf}")
        wait_until(lambda: len(relay.heard) == len(OF_DEVICE), "all of it")
        refused = [*(f"headwater/bbb1/{leaf}" for leaf in OF_DEVICE), "headwater/relay1/status", "headwater/x"]
        assert {relay.publish(topic) for topic in refused} == {NOT_AUTHORIZED}
        assert relay.publish("headwater/bbb1/request/resend") == SUCCESS
        device.wait_for("headwater/bbb1/request/resend")
        assert len(relay.heard) == len(OF_DEVICE) + 1, "and nothing came of what was refused"


class TestReader:
    def test_it_reads_its_streams_and_asks_for_what_is_missing_of_them(self, join: Join) -> None:
        reader, device, other = join("readers/anna", "#"), join("devices/bbb1"), join("devices/bbb2")
        asked = join("devices/bbb1", "headwater/bbb1/request/+")
        for leaf in OF_DEVICE:
            other.publish(f"headwater/bbb2/{leaf}", retain=True)
            device.publish(f"headwater/bbb1/{leaf}")
        wait_until(lambda: len(reader.heard) == len(OF_DEVICE), "all of bbb1")
        assert {topic for topic, _ in reader.heard} == {f"headwater/bbb1/{leaf}" for leaf in OF_DEVICE}
        refused = ["headwater/bbb1/status", "headwater/bbb1/request/reboot", "headwater/bbb2/request/resend"]
        assert {reader.publish(topic) for topic in (*refused, "headwater/anna/status")} == {NOT_AUTHORIZED}
        assert reader.publish("headwater/bbb1/request/resend") == SUCCESS
        asked.wait_for("headwater/bbb1/request/resend")


class TestRefused:
    def refused(self, port: int, tls: ssl.SSLContext) -> None:
        for protocol in (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311):
            with pytest.raises(ConnectionRefusedError):
                Certified(port, tls, protocol=protocol)

    @pytest.fixture(autouse=True)
    def _the_right_ones_are_let_in(self, join: Join) -> None:
        join("devices/bbb1")

    def test_who_has_no_certificate(self, broker: SecureMosquitto, provisioned: Provisioned) -> None:
        tls = ssl.create_default_context(cafile=str(provisioned.path / "ca" / "ca.pem"))
        self.refused(broker.port, tls)

    def test_who_has_one_of_another_authority(
        self, broker: SecureMosquitto, provisioned: Provisioned, tmp_path: Path
    ) -> None:
        other = Provisioned(tmp_path / "other")
        self.refused(broker.port, context_of(other.add("device", "bbb1"), provisioned.path / "ca" / "ca.pem"))

    def test_who_has_the_brokers_own(self, broker: SecureMosquitto, provisioned: Provisioned) -> None:
        self.refused(broker.port, context_of(provisioned.path / "broker"))

    def test_who_does_not_speak_tls(self, broker: SecureMosquitto) -> None:
        with pytest.raises((ConnectionRefusedError, ConnectionResetError)):
            Certified(broker.port, None)

    def test_who_has_one_that_has_ended(self, tmp_path: Path) -> None:
        early = Provisioned(tmp_path / "early", made=now() - timedelta(days=90))
        ended = early.add("device", "bbb1", at=now() - timedelta(days=80), lifetime=timedelta(days=79))
        good = early.add("device", "bbb2", at=now() - timedelta(days=80))
        with SecureMosquitto(early) as broker:
            self.refused(broker.port, context_of(ended))
            with Certified(broker.port, context_of(good)):
                pass


class TestOptions:
    def test_with_one_connection_each_nobody_throws_another_off(self, tmp_path: Path) -> None:
        made = Provisioned(tmp_path, one_connection=True)
        first, second = made.add("device", "bbb1"), made.add("device", "bbb2")
        with (
            SecureMosquitto(made) as broker,
            Certified(broker.port, context_of(second), client_id="headwater-bbb2") as victim,
            Certified(broker.port, context_of(first), client_id="headwater-bbb2") as thief,
        ):
            assert thief.publish("headwater/bbb1/status") in (SUCCESS, NO_SUBSCRIBERS)
            assert victim.publish("headwater/bbb2/status") in (SUCCESS, NO_SUBSCRIBERS)
            with Certified(broker.port, context_of(second)):
                wait_until(lambda: not victim.connected, "the end of the first connection of the same certificate")

    def test_the_listener_without_tls_is_not_there_unless_asked_for(self, provisioned: Provisioned) -> None:
        lines = (provisioned.path / "broker" / "mosquitto.conf").read_text().splitlines()
        assert [line for line in lines if line.startswith("listener ")] == [f"listener {provisioned.port} {HOST}"]
        assert "allow_anonymous false" in lines

    def test_who_comes_without_tls_may_read_and_ask_and_be_nobody(self, tmp_path: Path) -> None:
        plain = free_port()
        made = Provisioned(tmp_path, plain_port=plain)
        bundle = made.add("device", "bbb1")
        with (
            SecureMosquitto(made) as broker,
            Certified(broker.port, context_of(bundle), "headwater/bbb1/request/+") as device,
            Certified(plain, None, "headwater/#") as local,
            Certified(plain, None, "headwater/#", user="bbb1") as liar,
        ):
            assert local.publish("headwater/bbb1/status") == NOT_AUTHORIZED
            assert liar.publish("headwater/bbb1/status") == NOT_AUTHORIZED
            assert local.publish("headwater/bbb1/request/resend") == SUCCESS
            device.wait_for("headwater/bbb1/request/resend")
            assert device.publish("headwater/bbb1/status", b"control") == SUCCESS
            local.wait_for("headwater/bbb1/status")
            assert liar.heard == []
