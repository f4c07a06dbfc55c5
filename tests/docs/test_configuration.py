"""docs/configuration.md names every key there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.config import (
    AuthSettings,
    ChannelSettings,
    DeviceSettings,
    HistorySettings,
    OutboxSettings,
    RelaySettings,
    StreamSettings,
    TcpSettings,
    ZmqSettings,
)
from gateway.mqtt_settings import MqttSettings

PAGE = Path(__file__).parents[2] / "docs/configuration.md"


@pytest.mark.parametrize(
    ("table", "model"),
    [
        ("[device]", DeviceSettings),
        ("[mqtt]", MqttSettings),
        ("[outbox]", OutboxSettings),
        ("[[stream]]", StreamSettings),
        ("[[stream.channel]]", ChannelSettings),
        ("[relay]", RelaySettings),
        ("[history]", HistorySettings),
        ("[auth]", AuthSettings),
        ("[[outlet]]", ZmqSettings),
        ("[[outlet]]", TcpSettings),
    ],
)
def test_every_key_is_described_below_its_table(table: str, model: type[BaseModel]) -> None:
    section = PAGE.read_text(encoding="utf-8").split(f"**`{table}`**", 1)[1].split("**`[", 1)[0]
    described = [cell for line in section.splitlines() if line.startswith("|") for cell in [line.split("|")[1]]]
    keys = set(model.model_fields) - ({"channel"} if model is StreamSettings else set())
    assert {key for key in keys if not any(f"`{key}`" in cell for cell in described)} == set()
