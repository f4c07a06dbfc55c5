"""The one way to connect: against mosquitto, against brokers that misbehave, and against none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from paho.mqtt import publish as paho_publish
from paho.mqtt import subscribe as paho_subscribe

from boards.errors import BadOption
from gateway.broker import EmbeddedBroker
from gateway.mqtt import Connection, Handlers, Will
from gateway.mqtt_settings import MqttSettings
from tests.faults.proxy import FaultProxy, Faults
from tests.gateway.mqtt_witness import Witness, connected, settings_for, up_of
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.support.stub_broker import StubBroker
from tests.support.waiting import eventually, wait_until

PROMPT_S = 3.0
"""A stop is done within this; what could hold it up takes 5 s and more."""


def send(broker: Mosquitto, topic: str, payload: bytes, retain: bool = False) -> None:
    """Publish with paho alone."""
    paho_publish.single(topic, payload, qos=1, retain=retain, hostname="127.0.0.1", port=broker.port)


class TestMosquitto:
    def test_it_speaks_mqtt_5_where_the_broker_does(self, tmp_path: Path) -> None:
        witness = Witness()
        with Mosquitto(tmp_path, settings={"max_inflight_messages": 7}) as broker:
            with connected(settings_for(broker.url), witness) as connection:
                up = up_of(connection)
            assert (up.protocol, up.receive_maximum, up.session_present) == ("5", 7, False)
            assert witness.ups == [up]
            assert witness.refusals == witness.downs == []
            assert connection.up is None

    def test_it_speaks_3_1_1_where_it_is_told_to(self, mosquitto: Mosquitto) -> None:
        with connected(settings_for(mosquitto.url, protocol="3.1.1"), Witness()) as connection:
            up = up_of(connection)
        assert (up.protocol, up.receive_maximum) == ("3.1.1", 65_535)

    @pytest.mark.parametrize("protocol", ["5", "3.1.1"])
    def test_messages_go_out_and_come_in_and_are_acknowledged_by_number(
        self, mosquitto: Mosquitto, protocol: str
    ) -> None:
        witness = Witness()
        send(mosquitto, "t/kept", b"old", retain=True)
        with connected(
            settings_for(mosquitto.url, protocol=protocol), witness, subscriptions=("t/#",)
        ) as connection:
            wait_until(lambda: witness.messages, "the retained message")
            numbers = [
                connection.publish("t/new", b"%d" % number, qos=1, content_type="text/plain")
                for number in range(30)
            ]
            wait_until(lambda: len(witness.messages) == 31, "all messages")
            wait_until(lambda: len(witness.acknowledged) == 30, "all acknowledgements")
        assert witness.messages[0] == ("t/kept", b"old", True)
        assert [payload for _, payload, _ in witness.messages[1:]] == [b"%d" % number for number in range(30)]
        assert sorted(witness.acknowledged) == sorted(number for number in numbers if number is not None)
        assert len(set(numbers)) == 30

    def test_nothing_is_published_without_a_connection(self, mosquitto: Mosquitto) -> None:
        connection = Connection(settings_for(mosquitto.url), Witness().handlers, client_id="test")
        assert connection.publish("t", b"x", qos=1) is None
        connection.start()
        wait_until(lambda: connection.up, "the connection")
        connection.stop()
        assert connection.publish("t", b"x", qos=1) is None

    def test_a_last_message_is_left_behind(self, mosquitto: Mosquitto) -> None:
        will = Will("t/status", b"lost")
        connection = Connection(settings_for(mosquitto.url), Witness().handlers, client_id="test", will=will)
        connection.start()
        wait_until(lambda: connection.up, "the connection")
        connection.stop(last=("t/status", b"stopped"))
        message = paho_subscribe.simple("t/status", hostname="127.0.0.1", port=mosquitto.port)  # type: ignore[no-untyped-call]
        assert (message.payload, message.retain) == (b"stopped", True)

    def test_a_last_message_that_does_not_get_through_leaves_the_will_in_its_place(self, tmp_path: Path) -> None:
        """The window is full of what is not acknowledged, so the goodbye would never leave."""
        will = Will("t/status", b"lost")
        with (
            Mosquitto(tmp_path, settings={"max_inflight_messages": 1}) as broker,
            FaultProxy(broker.port) as proxy,
        ):
            settings = settings_for(f"mqtt://127.0.0.1:{proxy.port}")
            connection = Connection(settings, Witness().handlers, client_id="test", will=will)
            connection.start()
            wait_until(lambda: connection.up, "the connection")
            connection.publish("t/status", b"online", qos=1, retain=True)
            proxy.faults = Faults(stall_down=True)
            connection.publish("t", b"x", qos=1)
            connection.stop(last=("t/status", b"stopped"))

            def retained() -> bytes:
                message = paho_subscribe.simple("t/status", hostname="127.0.0.1", port=broker.port)  # type: ignore[no-untyped-call]
                payload: bytes = message.payload
                return payload

            wait_until(lambda: retained() == b"lost", "the will")

    def test_what_the_broker_rejects_is_not_acknowledged(self, tmp_path: Path) -> None:
        (tmp_path / "acl").write_text("topic write t/open\n")
        witness = Witness()
        with (
            Mosquitto(tmp_path, settings={"acl_file": str(tmp_path / "acl")}) as broker,
            connected(settings_for(broker.url), witness) as connection,
        ):
            wait_until(lambda: connection.up, "the connection")
            rejected = connection.publish("t/closed", b"x", qos=1)
            accepted = connection.publish("t/open", b"x", qos=1)
            wait_until(lambda: witness.acknowledged, "the acknowledgement")
        assert witness.acknowledged == [accepted]
        assert witness.rejected == [(rejected, "Not authorized")]

    def test_it_comes_back_after_the_broker_was_restarted_with_its_subscriptions(
        self, mosquitto: Mosquitto
    ) -> None:
        witness = Witness()
        with connected(settings_for(mosquitto.url), witness, subscriptions=("t/#",)) as connection:
            wait_until(lambda: connection.up, "the connection")
            mosquitto.stop()
            wait_until(lambda: witness.downs, "the news that it is down")
            assert connection.up is None
            mosquitto.start()
            wait_until(lambda: len(witness.ups) == 2, "the second connection")

            def arrived() -> bool:
                send(mosquitto, "t/new", b"after")
                return any(payload == b"after" for _, payload, _ in witness.messages)

            wait_until(arrived, "a message after the restart")
        assert len(witness.downs) == 1
        assert witness.downs[0].startswith(f"127.0.0.1:{mosquitto.port}: ")

    def test_it_comes_back_after_the_broker_was_killed_several_times(self, mosquitto: Mosquitto) -> None:
        witness = Witness()
        with connected(settings_for(mosquitto.url), witness):
            for times in range(1, 4):
                wait_until(lambda times=times: len(witness.ups) == times, f"connection {times}")  # type: ignore[misc]
                mosquitto.kill()
                mosquitto.start()
            wait_until(lambda: len(witness.ups) == 4, "the last connection")

    def test_a_broker_that_comes_late_is_found(self, mosquitto: Mosquitto) -> None:
        witness = Witness()
        mosquitto.stop()
        with connected(settings_for(mosquitto.url), witness) as connection:
            wait_until(lambda: len(witness.refusals) >= 2, "two refusals")
            mosquitto.start()
            wait_until(lambda: connection.up, "the connection")
        assert witness.refusals[0] == f"127.0.0.1:{mosquitto.port}: Connection refused"
        assert witness.downs == [], "what never was up does not go down"

    def test_a_session_that_is_to_persist_keeps_what_came_meanwhile(self, mosquitto: Mosquitto) -> None:
        witness = Witness()
        options: dict[str, Any] = {"subscriptions": ("t/#",), "persistent": True}
        with connected(settings_for(mosquitto.url), witness, **options) as connection:
            wait_until(lambda: connection.up, "the connection")
            send(mosquitto, "t/x", b"while it is there")
            wait_until(lambda: witness.messages, "the subscription")
        send(mosquitto, "t/x", b"while it is away")
        with connected(settings_for(mosquitto.url), witness, **options):
            wait_until(lambda: len(witness.messages) == 2, "what came meanwhile")
        assert [up.session_present for up in witness.ups] == [False, True]


class TestCredentials:
    @pytest.fixture
    def guarded(self, tmp_path: Path) -> Iterator[Mosquitto]:
        with Mosquitto(tmp_path, users={"bbb1": "geheim"}) as broker:
            yield broker

    def url(self, broker: Mosquitto, user: str) -> str:
        return f"mqtt://{user}127.0.0.1:{broker.port}"

    @pytest.mark.parametrize("user", ["", "bbb1@", "bbb1:wrong@"])
    @pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
    def test_who_is_refused_is_told_why(self, guarded: Mosquitto, user: str, protocol: str) -> None:
        witness = Witness()
        with connected(settings_for(self.url(guarded, user), protocol=protocol), witness):
            wait_until(lambda: witness.refusals, "the refusal")
        assert witness.refusals[0] == f"127.0.0.1:{guarded.port}: the broker refused: Not authorized"
        assert witness.ups == []

    def test_the_password_may_be_in_the_url_or_in_a_file(self, guarded: Mosquitto, tmp_path: Path) -> None:
        (tmp_path / "password").write_text("geheim\n")
        for settings in (
            settings_for(self.url(guarded, "bbb1:geheim@")),
            settings_for(self.url(guarded, "bbb1@"), password_file=tmp_path / "password"),
            settings_for(self.url(guarded, "bbb1:wrong@"), password_file=tmp_path / "password"),
        ):
            with connected(settings, Witness()) as connection:
                up_of(connection)

    def test_a_password_that_is_corrected_counts_from_the_next_try_on(
        self, guarded: Mosquitto, tmp_path: Path
    ) -> None:
        witness, path = Witness(), tmp_path / "password"
        path.write_text("wrong")
        with connected(settings_for(self.url(guarded, "bbb1@"), password_file=path), witness) as connection:
            wait_until(lambda: witness.refusals, "a refusal")
            path.unlink()
            wait_until(lambda: "No such file" in witness.refusals[-1], "a refusal for want of the file")
            path.write_text("geheim")
            wait_until(lambda: connection.up, "the connection")


class TestFallBack:
    async def test_a_broker_of_the_demo_is_spoken_to_in_its_own_version(self) -> None:
        witness, port = Witness(), free_port()
        async with EmbeddedBroker(port=port):
            connection = Connection(settings_for(f"mqtt://127.0.0.1:{port}"), witness.handlers, client_id="test")
            connection.start()
            await eventually(lambda: connection.up, "the connection")
            assert up_of(connection).protocol == "3.1.1"
            assert connection.publish("t", b"x", qos=1) is not None
            await eventually(lambda: witness.acknowledged, "the acknowledgement")
            connection.stop()
        assert witness.refusals == [], "not to know MQTT 5 is no refusal"

    @pytest.mark.parametrize("manner", ["answer", "hang up"])
    def test_a_broker_that_refuses_or_drops_mqtt_5_is_tried_with_3_1_1_at_once(self, manner: Any) -> None:
        with StubBroker(manner, protocols=(4,)) as broker, connected(settings_for(broker.url), Witness()):
            wait_until(lambda: len(broker.connects) >= 2, "a second try")
            assert broker.connects[:2] == [5, 4]

    def test_a_peer_that_hangs_up_on_both_versions_has_refused_and_is_given_time(self) -> None:
        tries: list[int] = []
        with StubBroker("hang up") as broker:
            handlers = Handlers(on_refused=lambda _: tries.append(len(broker.connects)))
            connection = Connection(settings_for(broker.url), handlers, client_id="test")
            connection.start()
            wait_until(lambda: len(tries) >= 3, "three refusals")
            connection.stop()
        assert tries[:3] == [2, 4, 6]

    def test_the_version_is_never_another_than_the_one_that_was_asked_for(self) -> None:
        witness = Witness()
        with StubBroker(protocols=(4,)) as broker, connected(settings_for(broker.url, protocol="5"), witness):
            wait_until(lambda: len(broker.connects) >= 3, "three tries")
            assert set(broker.connects) == {5}
        assert witness.ups == []
        assert "nsupported protocol version" in witness.refusals[0]


def test_after_a_connection_that_worked_the_waits_begin_short_again() -> None:
    """Without that, nine connections would take minutes."""
    witness = Witness()
    with StubBroker() as broker, connected(settings_for(broker.url), witness):
        for times in range(1, 10):
            wait_until(lambda times=times: len(witness.ups) == times, f"connection {times}")  # type: ignore[misc]
            broker.hang_up()


class TestReceiveMaximum:
    def test_no_more_is_on_its_way_than_the_broker_takes_at_a_time(self) -> None:
        witness = Witness()
        with StubBroker(receive_maximum=3) as broker, connected(settings_for(broker.url), witness) as connection:
            up = up_of(connection)
            assert up.receive_maximum == 3
            for number in range(10):
                assert connection.publish("t", b"%d" % number, qos=1) is not None
            connection.publish("t", b"the end", qos=0)
            wait_until(lambda: any(p.payload == b"the end" for p in broker.published), "what needs no answer")
            assert [p.payload for p in broker.published if p.qos] == [b"0", b"1", b"2"]
            for taken in range(4, 11):
                broker.acknowledge()
                wait_until(lambda taken=taken: sum(p.qos for p in broker.published) == taken, "the next")  # type: ignore[misc]
                assert broker.unacknowledged == 3
            assert [p.payload for p in broker.published if p.qos] == [b"%d" % number for number in range(10)]


class TestStop:
    """A stop is prompt whatever the connection is doing."""

    def stop(self, connection: Connection) -> None:
        stopping = threading.Thread(target=connection.stop)
        stopping.start()
        stopping.join(PROMPT_S)
        assert not stopping.is_alive(), "stop() hangs"

    def begin(self, url: str, witness: Witness) -> Connection:
        connection = Connection(settings_for(url), witness.handlers, client_id="test")
        connection.start()
        return connection

    def threads(self) -> list[str]:
        return [thread.name for thread in threading.enumerate() if "mqtt test" in thread.name]

    def test_before_it_was_started(self) -> None:
        self.stop(Connection(settings_for("mqtt://127.0.0.1"), Witness().handlers, client_id="test"))

    def test_right_after_it_was_started(self, mosquitto: Mosquitto) -> None:
        for _ in range(20):
            self.stop(self.begin(mosquitto.url, Witness()))
        assert self.threads() == []

    def test_while_it_is_connected(self, mosquitto: Mosquitto) -> None:
        witness = Witness()
        connection = self.begin(mosquitto.url, witness)
        wait_until(lambda: connection.up, "the connection")
        self.stop(connection)
        assert self.threads() == []
        assert witness.downs == [], "a stop is no accident"

    def test_twice(self, mosquitto: Mosquitto) -> None:
        connection = self.begin(mosquitto.url, Witness())
        wait_until(lambda: connection.up, "the connection")
        self.stop(connection)
        self.stop(connection)

    def test_while_it_waits_for_the_next_try(self) -> None:
        witness = Witness()
        connection = self.begin(f"mqtt://127.0.0.1:{free_port()}", witness)
        wait_until(lambda: len(witness.refusals) >= 3, "a longer wait")
        self.stop(connection)
        assert self.threads() == []

    def test_while_the_broker_does_not_answer(self) -> None:
        with StubBroker("mute") as broker:
            connection = self.begin(broker.url, Witness())
            wait_until(lambda: broker.connects, "the question")
            self.stop(connection)
            assert self.threads() == []

    def test_while_the_broker_s_machine_does_not_answer(self) -> None:
        """A full backlog: the kernel drops the SYN, as a machine that is switched off does."""
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, socket.socket() as filler:
            filler.connect(listener.getsockname())
            port = listener.getsockname()[1]
            connection = self.begin(f"mqtt://127.0.0.1:{port}", Witness())
            wait_until(lambda: "SYN_SENT" in states_of_connections_to(port), "the attempt")
            self.stop(connection)

    def test_while_messages_wait_for_an_answer_that_never_comes(self) -> None:
        with StubBroker(receive_maximum=2) as broker:
            connection = self.begin(broker.url, Witness())
            wait_until(lambda: connection.up, "the connection")
            for _ in range(5):
                connection.publish("t", b"x", qos=1)
            wait_until(lambda: broker.unacknowledged == 2, "the messages")
            self.stop(connection)
            wait_until(lambda: broker.said_goodbye, "the goodbye")


def states_of_connections_to(port: int) -> set[str]:
    connections = psutil.Process().net_connections("tcp")
    return {connection.status for connection in connections if connection.raddr and connection.raddr[1] == port}


SETTINGS: dict[str, tuple[str, Callable[[MqttSettings], Any], Any]] = {
    "default port": ("mqtt://h", lambda s: s.port, 1883),
    "default port of TLS": ("mqtts://h", lambda s: s.port, 8883),
    "own port": ("mqtt://h:1884", lambda s: s.port, 1884),
    "IPv6": ("mqtt://[::1]:1884/", lambda s: (s.host, s.port), ("::1", 1884)),
    "user": ("mqtt://me@h", lambda s: s.credentials(), ("me", None)),
    "escaped": ("mqtt://a%40b:p%3Aw%2F@h", lambda s: s.credentials(), ("a@b", "p:w/")),
    "nobody": ("mqtt://h", lambda s: s.credentials(), (None, None)),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_url_says_where_and_who(kind: str) -> None:
    url, read, expected = SETTINGS[kind]
    assert read(settings_for(url)) == expected


@pytest.mark.parametrize(
    "url", ["", "h", "h:1883", "mqtt://", "tcp://h", "mqtt://h:0", "mqtt://h/path", "mqtt://[::1"]
)
def test_what_is_no_url_of_a_broker_is_refused(url: str) -> None:
    with pytest.raises(BadOption, match="url: "):
        settings_for(url)
