"""TOML files to typed configuration, with errors that name file, line or key, what was found and what is allowed.

What counts, from the weakest to the strongest: the defaults, the file, the environment
(`HEADWATER__MQTT__URL=…`), `--set mqtt.url=…`.
"""

from gateway.config.device import ChannelSettings, DeviceConfig, DeviceSettings, OutboxSettings, StreamSettings
from gateway.config.loading import load, load_mapping, read_table
from gateway.config.relay import (
    AuthSettings,
    HistorySettings,
    RelayConfig,
    RelaySettings,
    SourceSettings,
    TcpSettings,
    ZmqSettings,
    parse_workers,
)
from gateway.config.words import host_of, port_of

__all__ = [
    "AuthSettings",
    "ChannelSettings",
    "DeviceConfig",
    "DeviceSettings",
    "HistorySettings",
    "OutboxSettings",
    "RelayConfig",
    "RelaySettings",
    "SourceSettings",
    "StreamSettings",
    "TcpSettings",
    "ZmqSettings",
    "host_of",
    "load",
    "load_mapping",
    "parse_workers",
    "port_of",
    "read_table",
]
