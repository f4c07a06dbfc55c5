"""What several commands share: options that mean the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from boards.options import parse_options
from gateway.config import read_table
from gateway.mqtt_settings import MqttSettings

Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_URL = "mqtt://127.0.0.1:1883"

config_argument = click.argument("config", type=click.Path(path_type=Path, dir_okay=False))


set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the file, such as mqtt.url=mqtt://broker.lan; may be repeated.",
)


def config_options(function: Function) -> Function:
    """`--check` and `--set`, for commands that run what a configuration says."""
    check = click.option("--check", is_flag=True, help="Check the configuration, print what would run, and exit.")
    return check(set_option(function))


def broker_options(function: Function) -> Function:
    """`--url`, `--root` and `--config`, for commands that talk to a broker; they come as `settings`."""
    url = click.option(
        "--url",
        envvar="HEADWATER_URL",
        help=f"The broker: mqtt://[user@]host[:port] or mqtts://…; {DEFAULT_URL} if not given.",
    )
    topics = click.option("--root", help="The root of the topic tree; headwater if not given.")
    config = click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="HEADWATER_CONFIG",
        help="A file whose table [mqtt] says these and more: a device's, or one of 'headwater provision'.",
    )

    @wraps(function)
    def with_settings(*arguments: Any, url: str | None, root: str | None, config: Path | None, **rest: Any) -> Any:
        return function(*arguments, settings=_broker_settings(url, root, config), **rest)

    return url(topics(config(cast(Function, with_settings))))


def _broker_settings(url: str | None, root: str | None, config: Path | None) -> MqttSettings:
    said = {key: value for key, value in (("url", url), ("root", root)) if value is not None}
    if config is None:
        return parse_options(MqttSettings, {"url": DEFAULT_URL, **said}, "--url, --root")
    return parse_options(MqttSettings, {**read_table(config, "mqtt"), **said}, f"{config}: mqtt")
