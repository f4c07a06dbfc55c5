"""What was issued, to whom, and what was revoked: everything but the authority's key follows from it. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, Field

from boards.options import Options, parse_options
from gateway.errors import ConfigError

Role = Literal["device", "relay", "reader"]
ROLES: tuple[Role, ...] = ("device", "relay", "reader")

BROKER = ""
"""The broker's name among the certificates: none that a client can have."""


AUTHORITY_LIFETIME = timedelta(days=3653)
"""Ten years: longer than the boards last, and when it ends everything is made anew."""
LIFETIME = timedelta(days=730)
"""Of the broker's certificate and the clients': docs/provision.md says why."""


class Broker(Options):
    """How the broker is reached, and what its configuration says."""

    hosts: tuple[str, ...] = Field(min_length=1)
    """Names and addresses in its certificate; clients use the first unless told otherwise."""
    port: int = Field(default=8883, ge=1, le=65535)
    bind: str | None = None
    """The address to listen on; None for all."""
    folder: str
    """Where its files are on its machine."""
    plain_port: int | None = Field(default=None, ge=1, le=65535)
    """Of a listener without TLS on loopback, if one was asked for."""
    one_connection: bool = False
    """Whether a certificate is good for one connection at a time, which nobody else can end."""


class Client(Options):
    """Who may connect."""

    role: Role
    host: str
    """The broker's name or address in its configuration."""
    at: str
    """Where its files are on its machine."""
    streams: tuple[str, ...] = ()
    """What a reader may read."""


class Certificate(Options):
    """One that was issued."""

    name: str
    """The client's; empty for the broker's."""
    serial: str
    """Hexadecimal, 40 digits."""
    made: AwareDatetime
    ends: AwareDatetime
    revoked: AwareDatetime | None = None
    written: bool = False
    """Whether it got to where it belongs; one that did not, because that was interrupted, is forgotten."""
    pem: str


class Register(Options):
    """All of it, as it was at one moment."""

    v: Literal[1] = 1
    root: str
    broker: Broker
    clients: dict[str, Client] = Field(default_factory=dict)
    """By name; those that were revoked are none."""
    certificates: tuple[Certificate, ...] = ()
    """In the order in which they were issued."""
    crl: int = 1
    """The number of the newest list of revoked certificates."""

    def newest(self, name: str) -> Certificate | None:
        """The certificate that a client, or the broker, is to use."""
        held = [one for one in self.certificates if one.name == name and one.written and one.revoked is None]
        return held[-1] if held else None

    def revoked(self) -> list[Certificate]:
        """Those on the list."""
        return [one for one in self.certificates if one.revoked is not None]

    def with_client(self, name: str, client: Client) -> Register:
        """A client more, or changed."""
        return self.model_copy(update={"clients": {**self.clients, name: client}})

    def with_certificate(self, certificate: Certificate) -> Register:
        """A certificate more."""
        return self.model_copy(update={"certificates": (*self.certificates, certificate)})

    def settled(self, written: Collection[str]) -> Register:
        """Certificates whose serial numbers are these are written; what is not written otherwise is forgotten.

        So is a client who has no certificate.
        """
        certificates = tuple(
            one if one.written else one.model_copy(update={"written": True})
            for one in self.certificates
            if one.written or one.serial in written
        )
        known = {one.name for one in certificates if one.revoked is None}
        clients = {name: client for name, client in self.clients.items() if name in known}
        return self.model_copy(update={"certificates": certificates, "clients": clients})

    def with_broker(self, broker: Broker) -> Register:
        """The broker elsewhere."""
        return self.model_copy(update={"broker": broker})

    def without(self, name: str, now: datetime) -> Register:
        """The client gone, and every certificate of its name revoked, those that it no longer uses too."""
        certificates = tuple(
            one.model_copy(update={"revoked": now}) if one.name == name and one.revoked is None else one
            for one in self.certificates
        )
        clients = {other: client for other, client in self.clients.items() if other != name}
        return self.model_copy(
            update={"clients": clients, "certificates": certificates, "crl": self.crl + 1},
        )

    def due(self, until: datetime) -> list[str]:
        """Who uses a certificate that ends before that; the broker first."""
        names = (BROKER, *self.clients)
        return [name for name in names if (held := self.newest(name)) is not None and held.ends < until]

    def dump(self) -> bytes:
        """What is written to its file."""
        return json.dumps(self.model_dump(mode="json"), indent=1).encode() + b"\n"


def read_register(content: bytes, where: str) -> Register:
    """The register in a file's content; raises ConfigError or BadOption."""
    try:
        values = json.loads(content)
    except ValueError as error:
        raise ConfigError(f"{where}: is not JSON ({error}): bring it back from a backup") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: is no register of certificates: bring it back from a backup")
    return parse_options(Register, values, where)
