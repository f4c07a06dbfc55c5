"""Certificates that are renewed and revoked while mosquitto runs: what it takes over without a restart."""

from __future__ import annotations

import shutil
import socket
from datetime import timedelta
from pathlib import Path

from tests.gateway.provision.conftest import Join
from tests.support.secure import HOST, Certified, Provisioned, SecureMosquitto, context_of, now
from tests.support.waiting import wait_until

SUCCESS, NO_SUBSCRIBERS, NOT_AUTHORIZED = 0, 16, 135
"""Reason codes of PUBACK: MQTT 5, section 3.4.2.1."""


def let_in(port: int, bundle: Path) -> bool:
    """Whether the broker lets a client with these files in."""
    try:
        with Certified(port, context_of(bundle)):
            return True
    except ConnectionRefusedError:
        return False


class TestRevocation:
    def test_nobody_gets_in_with_it_from_the_reload_on(
        self, broker: SecureMosquitto, provisioned: Provisioned, tmp_path: Path, join: Join
    ) -> None:
        stolen = shutil.copytree(provisioned.path / "devices" / "bbb2", tmp_path / "stolen")
        join(stolen)
        assert provisioned.revoke("bbb2") == 1
        broker.reload()
        assert not let_in(broker.port, stolen)
        broker.restart()
        assert not let_in(broker.port, stolen)
        assert let_in(broker.port, provisioned.path / "devices" / "bbb1")

    def test_an_open_connection_loses_its_rights_with_the_reload(
        self, broker: SecureMosquitto, provisioned: Provisioned, join: Join
    ) -> None:
        relay, device = join("relays/relay1", "headwater/#"), join("devices/bbb2", "headwater/bbb2/request/+")
        device.publish("headwater/bbb2/status", b"before")
        provisioned.revoke("bbb2")
        broker.reload()
        assert device.publish("headwater/bbb2/status", b"after") == NOT_AUTHORIZED
        relay.publish("headwater/bbb2/request/resend")
        join("devices/bbb1").publish("headwater/bbb1/status", b"control")
        heard = relay.wait_for("headwater/bbb1/status")
        assert [payload for _, payload in heard] == [b"before", b"x", b"control"]
        assert device.heard == []

    def test_a_restart_ends_it_too_and_it_is_seen_offline(
        self, broker: SecureMosquitto, provisioned: Provisioned, join: Join
    ) -> None:
        device = join("devices/bbb2", will=("headwater/bbb2/status", b"offline"))
        device.publish("headwater/bbb2/status", b"online", retain=True)
        provisioned.revoke("bbb2")
        broker.restart()
        wait_until(lambda: not device.connected, "the end of the connection")
        relay = join("relays/relay1", "headwater/bbb2/status")
        assert relay.wait_for("headwater/bbb2/status") == [("headwater/bbb2/status", b"offline")]

    def test_the_name_can_be_given_again_and_the_old_certificates_stay_out(
        self, broker: SecureMosquitto, provisioned: Provisioned, tmp_path: Path, join: Join
    ) -> None:
        first = shutil.copytree(provisioned.path / "devices" / "bbb2", tmp_path / "first")
        second = shutil.copytree(provisioned.renew("bbb2"), tmp_path / "second")
        assert provisioned.revoke("bbb2") == 2
        third = provisioned.add("device", "bbb2")
        broker.reload()
        for old in (first, second):
            assert not let_in(broker.port, old)
        assert join(third).publish("headwater/bbb2/status") in (SUCCESS, NO_SUBSCRIBERS)


class TestRenewal:
    def test_old_and_new_are_good_at_the_same_time_without_a_word_to_the_broker(
        self, provisioned: Provisioned, tmp_path: Path, join: Join
    ) -> None:
        relay = join("relays/relay1", "headwater/#")
        old = shutil.copytree(provisioned.path / "devices" / "bbb1", tmp_path / "old")
        new = provisioned.renew("bbb1")
        assert (old / "cert.pem").read_bytes() != (new / "cert.pem").read_bytes()
        assert (old / "key.pem").read_bytes() == (new / "key.pem").read_bytes()
        rekeyed = provisioned.renew("bbb1", new_key_too=True)
        assert (old / "key.pem").read_bytes() != (rekeyed / "key.pem").read_bytes()
        for number, bundle in enumerate((old, rekeyed)):
            join(bundle).publish("headwater/bbb1/status", b"%d" % number)
        wait_until(lambda: [payload for _, payload in relay.heard] == [b"0", b"1"], "both")

    def test_one_that_has_ended_is_renewed_too(self, tmp_path: Path) -> None:
        early = Provisioned(tmp_path, made=now() - timedelta(days=90))
        bundle = early.add("device", "bbb1", at=now() - timedelta(days=80), lifetime=timedelta(days=1))
        with SecureMosquitto(early) as broker:
            assert not let_in(broker.port, bundle)
            early.renew("bbb1")
            assert let_in(broker.port, bundle)

    def test_the_brokers_is_used_from_the_reload_on_and_nobody_is_cut_off(
        self, broker: SecureMosquitto, provisioned: Provisioned, join: Join
    ) -> None:
        device = join("devices/bbb1")
        serials = [served(broker.port, provisioned)]
        provisioned.renew("")
        broker.reload()
        serials.append(served(broker.port, provisioned))
        provisioned.renew("", new_key_too=True)
        broker.reload()
        serials.append(served(broker.port, provisioned))
        assert len(set(serials)) == 3
        assert device.publish("headwater/bbb1/status") in (SUCCESS, NO_SUBSCRIBERS)
        assert device.connected


def served(port: int, provisioned: Provisioned) -> str:
    """The serial number of the certificate that the broker shows."""
    context = context_of(provisioned.path / "devices" / "bbb1")
    with (
        socket.create_connection((HOST, port)) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as secured,
    ):
        return str((secured.getpeercert() or {})["serialNumber"])
