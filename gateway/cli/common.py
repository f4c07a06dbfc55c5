"""What several commands share: options that mean the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

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
    """`--url` and `--root`, for commands that talk to a broker without a configuration."""
    url = click.option(
        "--url",
        default=DEFAULT_URL,
        show_default=True,
        envvar="HEADWATER_URL",
        help="The broker: mqtt://[user@]host[:port] or mqtts://…",
    )
    topics = click.option("--root", default="headwater", show_default=True, help="The root of the topic tree.")
    return url(topics(function))
