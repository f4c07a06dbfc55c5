"""A provisioning folder with two devices, a relay and two readers, and a real broker that has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.secure import Certified, Provisioned, SecureMosquitto, context_of

Join = Callable[..., Certified]


@pytest.fixture
def provisioned(tmp_path: Path) -> Provisioned:
    """Devices bbb1 and bbb2, the relay relay1, and the reader anna, who may read bbb1's streams."""
    made = Provisioned(tmp_path)
    for name in ("bbb1", "bbb2"):
        made.add("device", name)
    made.add("relay", "relay1")
    made.add("reader", "anna", ["bbb1/*"])
    return made


@pytest.fixture
def broker(provisioned: Provisioned) -> Iterator[SecureMosquitto]:
    """Mosquitto, with what is provisioned when it starts."""
    with SecureMosquitto(provisioned) as running:
        yield running


@pytest.fixture
def join(broker: SecureMosquitto, provisioned: Provisioned) -> Iterator[Join]:
    """`join("devices/bbb1", "topic/#")` is a connection with that client's certificate."""
    joined: list[Certified] = []

    def connect(bundle: str | Path, *topics: str, **options: Any) -> Certified:
        tls = context_of(provisioned.path / bundle)
        joined.append(Certified(broker.port, tls, *topics, **options))
        return joined[-1]

    yield connect
    for one in joined:
        one.close()
