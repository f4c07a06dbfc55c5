"""The broker, step by step (reachable, TLS, login), and the ports that are listened on."""

from __future__ import annotations

import errno
import secrets
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from gateway.doctor.finding import Finding
from gateway.doctor.machine import Machine
from gateway.errors import BrokerError
from gateway.mqtt import CONNECT_TIMEOUT_S, Connection, Handlers, Up
from gateway.mqtt_settings import MqttSettings

LOGIN_S = 2 * CONNECT_TIMEOUT_S + 2
"""Long enough for a broker that does not answer MQTT 5 to be asked in 3.1.1."""

RENEW_DAYS = 14
"""A certificate that ends sooner needs somebody now."""

TCP_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
LISTENING = "0A"


def check_broker(settings: MqttSettings) -> Iterator[Finding]:
    """Each step to the broker, up to the first that fails."""
    reached = _reach(settings)
    yield reached
    if not reached.ok:
        return
    try:
        context = settings.tls()
    except (OSError, ValueError) as error:
        yield Finding("tls", f"the certificates cannot be used ({error})", "see mqtt.ca, mqtt.cert and mqtt.key")
        return
    if context is not None:
        shaken = _shake_hands(settings, context)
        yield shaken
        if not shaken.ok:
            return
    yield _log_in(settings)


def check_listening(host: str, port: int, key: str, machine: Machine) -> Finding:
    """Whether a port is free, or held by a Headwater that runs already. `key` is where it is set."""
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return Finding("listen", f"{where} is free")
    except OSError as error:
        found = f"{where} cannot be listened on ({error.strerror})"
        if error.errno == errno.EADDRINUSE:
            return _port_taken(where, port, key, machine)
        if error.errno in (errno.EACCES, errno.EPERM):
            return Finding("listen", found, f"set {key} to a port from 1024 on")
        return Finding("listen", found, f"set {key} to an address of this machine")


def _port_taken(where: str, port: int, key: str, machine: Machine) -> Finding:
    sockets = {
        f"socket:[{inode}]" for table in TCP_TABLES for inode in _listening(machine.text(table) or "", port)
    }
    holder = machine.holder(lambda link: link in sockets)
    if holder is None:
        return Finding("listen", f"{where} is taken", f"`sudo ss -ltnp` says by whom; end that, or change {key}")
    if holder.is_headwater:
        return Finding("listen", f"{where} is held by Headwater itself: {holder}")
    return Finding("listen", f"{where} is taken by {holder}", f"end that, or change {key}")


def _listening(table: str, port: int) -> Iterator[str]:
    """The inodes of the sockets that listen on the port: columns of proc(5)'s /proc/net/tcp."""
    for line in table.splitlines()[1:]:
        columns = line.split()
        if columns[3] == LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
            yield columns[9]


def _reach(settings: MqttSettings) -> Finding:
    where = f"{settings.host}:{settings.port}"
    try:
        with socket.create_connection((settings.host, settings.port), CONNECT_TIMEOUT_S):
            return Finding("broker", f"{where} takes connections")
    except socket.gaierror as error:
        todo = "is the name in mqtt.url right, and does this machine have a network and DNS?"
        return Finding("broker", f"{settings.host!r} is not known ({error.strerror})", todo)
    except TimeoutError:
        todo = "is the broker on, and is there a firewall between?"
        return Finding("broker", f"{where} did not answer within {CONNECT_TIMEOUT_S:g} s", todo)
    except ConnectionRefusedError:
        todo = "start a broker there (sudo systemctl start mosquitto, or `headwater broker`), or correct mqtt.url"
        return Finding("broker", f"nothing listens on {where}", todo)
    except (OSError, UnicodeError) as error:  # UnicodeError: what can be no name
        why = getattr(error, "strerror", None) or error
        return Finding("broker", f"{where} cannot be reached ({why})", "see mqtt.url and the network")


def _shake_hands(settings: MqttSettings, context: ssl.SSLContext) -> Finding:
    try:
        with (
            socket.create_connection((settings.host, settings.port), CONNECT_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=settings.host) as secured,
        ):
            return _certificate(secured)
    except ssl.SSLCertVerificationError as error:
        return Finding("tls", f"the broker's certificate is refused ({error.verify_message})", _distrust(error))
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror or type(error).__name__
        todo = f"does {settings.host}:{settings.port} speak TLS? MQTT with TLS is usually on port 8883"
        return Finding("tls", f"no TLS connection ({why})", todo)


def _certificate(secured: ssl.SSLSocket) -> Finding:
    ends = ssl.cert_time_to_seconds(str((secured.getpeercert() or {})["notAfter"]))
    until = datetime.fromtimestamp(ends, UTC)
    found = f"{secured.version()}, the broker's certificate ends {until:%Y-%m-%d}"
    soon = (until - datetime.now(UTC)).days < RENEW_DAYS
    return Finding("tls", found, "renew it: after that day nobody connects" if soon else None)


def _distrust(error: ssl.SSLCertVerificationError) -> str:
    """What to do about a certificate that is refused: codes of X509_STORE_CTX_get_error(3)."""
    if error.verify_code == 9:
        return "it is not valid yet: is the clock of this machine right?"
    if error.verify_code == 10:
        return "it has ended: renew it, if the clock of this machine is right"
    if error.verify_code in (62, 64):
        return "mqtt.url must name the broker as its certificate does"
    return "mqtt.ca must name the file of the authority that signed it"


def _log_in(settings: MqttSettings) -> Finding:
    """Connect as a client of our own, so that a device that runs is not thrown out."""
    answered = threading.Event()
    refusals: list[str] = []
    ups: list[Up] = []

    def on_up(up: Up) -> None:
        ups.append(up)
        answered.set()

    def on_refused(why: str) -> None:
        refusals.append(why)
        answered.set()

    handlers = Handlers(on_up=on_up, on_refused=on_refused)
    user, password = settings.credentials()
    name = f"user {user!r}" if user else "nobody (no user in mqtt.url)"
    connection = Connection(settings, handlers, client_id=f"headwater-doctor-{secrets.token_hex(4)}")
    try:
        connection.start()
        answered.wait(LOGIN_S)
    except BrokerError as error:
        return Finding("login", str(error), "see the table [mqtt]")
    finally:
        with suppress(RuntimeError):  # it was never started
            connection.stop()
    if ups:
        return Finding("login", f"accepted as {name}, MQTT {ups[0].protocol}")
    if not refusals or "refused" not in refusals[0]:
        todo = (
            "is it an MQTT broker, and does it want a client certificate (mqtt.cert, mqtt.key)? If there is one: "
            "has it ended, or was it revoked?"
        )
        return Finding("login", f"{connection.where} takes connections and does not answer", todo)
    secret = "the password" if password else "a password (mqtt.password_file)"
    return Finding("login", f"{refusals[0]}, as {name}", f"see user and {secret}, and the broker's log")
