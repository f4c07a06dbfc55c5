"""Who may write and read what, as mosquitto's acl_file has it: mosquitto.conf(5). Pure.

Each client has rules of its own. A `pattern` with the user's name in it would do for all devices, but it holds for
everybody: a relay could write as a device of its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.provision.register import Client, Register
from gateway.topics import Topics

ANY = "+"

HEADER = "# Written by `headwater provision`, which writes it anew: what is changed here is lost.\n"


def access_list(register: Register) -> str:
    """The rules of all clients; who is not named may nothing."""
    topics = Topics(register.root)
    parts = [HEADER]
    for name, client in sorted(register.clients.items()):
        parts.append(f"\n# {client.role}\nuser {name}\n")
        parts += _lines(rules(topics, name, client))
    return "".join(parts)


def plain_access_list(register: Register) -> str:
    """The rules of clients without a name, on the listener without TLS."""
    return "".join([HEADER, *_lines(_relay(Topics(register.root)))])


def rules(topics: Topics, name: str, client: Client) -> Iterator[str]:
    """Each as `read` or `write` and a filter."""
    if client.role == "device":
        return _device(topics, name)
    if client.role == "relay":
        return _relay(topics)
    return _reader(topics, client.streams)


def _device(topics: Topics, name: str) -> Iterator[str]:
    """All under its own name; of that it hears what it is asked, and can look at what is retained of it.

    It cannot read its samples: who has stolen its key cannot listen from afar.
    """
    yield f"write {topics.below(name)}"
    yield f"read {topics.request(name, ANY)}"
    yield f"read {topics.status(name)}"
    yield f"read {topics.health(name)}"
    yield f"read {topics.meta(name, ANY)}"
    yield f"read {topics.latest(name, ANY)}"


def _relay(topics: Topics) -> Iterator[str]:
    yield f"read {topics.everything()}"
    yield f"write {topics.request(ANY, ANY)}"


def _reader(topics: Topics, streams: Iterable[str]) -> Iterator[str]:
    """What belongs to the streams, and to ask again for what is missing of them."""
    for pattern in streams:
        device, stream = (ANY if part == "*" else part for part in pattern.split("/"))
        yield f"read {topics.meta(device, stream)}"
        yield f"read {topics.batch(device, stream)}"
        yield f"read {topics.latest(device, stream)}"
        yield f"read {topics.status(device)}"
        yield f"read {topics.health(device)}"
        yield f"read {topics.event(device, ANY, ANY)}"
        yield f"write {topics.request(device, 'resend')}"


def _lines(allowed: Iterable[str]) -> list[str]:
    return [f"topic {rule}\n" for rule in dict.fromkeys(allowed)]
