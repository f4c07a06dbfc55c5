"""What the broker, its clients and what they read may be called. Pure."""

from __future__ import annotations

import ipaddress
import re

from gateway.errors import ConfigError
from gateway.topics import NAME, NAME_RULE, check_name

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LONGEST_HOST = 253
"""RFC 1035, section 2.3.4, without the last dot."""


def check_client(name: str) -> str:
    """Return the name of a client: it stands in the certificate, in topics and in the access list.

    Raises TopicError. What is allowed has no '/', '+' or '#', which would reach into the topics of others, and no
    more than the 64 characters that a certificate holds (RFC 5280, ub-common-name).
    """
    return check_name(name, "name")


def check_host(host: str) -> str:
    """Return a name or address of the broker as its certificate has it; raises ConfigError."""
    address = _address(host)
    if address is not None:
        return str(address)
    lower = host.lower()
    labels = lower.split(".")
    if len(lower) > LONGEST_HOST or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise ConfigError(
            f"broker {host!r:.100} is not allowed: it must be a host's name such as 'broker.lan', or an address "
            f"such as '192.168.7.1' or 'fd00::1', as clients write it in mqtt.url"
        )
    return lower


def is_address(host: str) -> bool:
    """Whether it is an IP address, not a name."""
    return _address(host) is not None


def url_of(host: str, port: int) -> str:
    """The URL at which clients find the broker."""
    return f"mqtts://[{host}]:{port}" if ":" in host else f"mqtts://{host}:{port}"


def check_root(root: str) -> str:
    """Return the root of the topic tree; raises ConfigError."""
    if not all(NAME.fullmatch(level) for level in root.split("/")):
        raise ConfigError(f"root {root!r:.100} is not allowed: each of its levels must be {NAME_RULE}")
    return root


def check_reading(pattern: str) -> str:
    """Return `device/stream` where `*` stands for any device or stream; raises ConfigError.

    A broker knows wildcards of whole levels only, so there is no `bbb*`.
    """
    parts = pattern.split("/")
    if len(parts) != 2 or not all(part == "*" or NAME.fullmatch(part) for part in parts):
        raise ConfigError(
            f"stream {pattern!r:.100} is not allowed: it must be 'device/stream', where '*' stands for any"
        )
    return pattern


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return None if "%" in host else address  # an interface means nothing to others
