"""The broker's configuration and a client's table [mqtt], as text. Pure."""

from __future__ import annotations

import json

from gateway.errors import ConfigError
from gateway.provision.names import url_of
from gateway.provision.register import Broker, Client, Register

CA, CERT, KEY, SNIPPET = "ca.pem", "cert.pem", "key.pem", "mqtt.toml"
"""What each client gets."""
CRL, ACL, PLAIN_ACL, CONF = "crl.pem", "acl", "acl-plain", "mosquitto.conf"
"""What the broker gets beside the first three."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Always in the broker's certificate, so that a relay beside it needs no listener without TLS."""


def check_folder(folder: str) -> str:
    """Return a path that may stand in a configuration; raises ConfigError."""
    if not folder or not folder.isprintable():
        raise ConfigError(f"folder {folder!r:.100} is not allowed: it must be a path without control characters")
    return folder


def mosquitto_conf(broker: Broker) -> str:
    """mosquitto.conf(5): everybody has a certificate, and its name is the user's."""
    lines = [
        "# Written by `headwater provision init`; for mosquitto 2.0 or newer.",
        # so that each listener has its own: who has no certificate must not choose a name
        *(["per_listener_settings true"] if broker.plain_port is not None else []),
        "set_tcp_nodelay true",
        f"listener {broker.port}{f' {broker.bind}' if broker.bind else ''}",
        f"cafile {broker.folder}/{CA}",
        f"certfile {broker.folder}/{CERT}",
        f"keyfile {broker.folder}/{KEY}",
        f"crlfile {broker.folder}/{CRL}",
        "require_certificate true",
        "use_identity_as_username true",
        "allow_anonymous false",
        f"acl_file {broker.folder}/{ACL}",
    ]
    if broker.one_connection:
        lines.append("use_username_as_clientid true")
    if broker.plain_port is not None:
        lines += [
            "",
            f"listener {broker.plain_port} 127.0.0.1",
            "allow_anonymous true",
            f"acl_file {broker.folder}/{PLAIN_ACL}",
        ]
    return "\n".join(lines) + "\n"


def mqtt_table(register: Register, name: str, client: Client) -> str:
    """The table [mqtt] of the client's configuration."""
    lines = [
        f"# The {client.role} {name}: for its configuration. Its files belong into {client.at},",
        f"# {KEY} readable by its user alone.",
        "[mqtt]",
        f"url = {_text(url_of(client.host, register.broker.port))}",
        f"root = {_text(register.root)}",
        *(f"{key} = {_text(f'{client.at}/{file}')}" for key, file in (("ca", CA), ("cert", CERT), ("key", KEY))),
    ]
    if client.role == "device":
        lines.append(
            'protocol = "5" # in 3.1.1 a broker says nothing of what it refuses, and a loss would be silent'
        )
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """A TOML string: what JSON makes of printable text is one."""
    return json.dumps(value, ensure_ascii=False)
