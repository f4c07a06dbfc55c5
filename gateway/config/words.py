"""What several tables check in the same way."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.credentials import readable
from gateway.errors import TopicError
from gateway.topics import check_name


def checked_name(name: str) -> str:
    """A name that can be part of a topic; raises ValueError."""
    try:
        return check_name(name)
    except TopicError as error:
        raise ValueError(str(error)) from None


def address(listen: str) -> str:
    """An `address:port`; raises ValueError."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError("must be 'address:port' with a port from 1 to 65535")
    return listen


def host_of(listen: str) -> str:
    """The address in `address:port`."""
    return listen.rpartition(":")[0].strip("[]")


def port_of(listen: str) -> int:
    """The port in `address:port`."""
    return int(listen.rpartition(":")[2])


def readable_file(path: Path | None) -> Path | None:
    """A file that can be read, or none; raises ValueError."""
    return None if path is None else readable(path)


def some_and_distinct(what: str, names: list[str]) -> None:
    """Raise ValueError unless there are names, each once."""
    if not names:
        raise ValueError(f"at least one {what} is needed")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two {what}s are called {name!r}; each needs a name of its own")
