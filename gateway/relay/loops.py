"""Which event loop the relay runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module

from gateway.errors import ConfigError


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """A maker of loops: `auto` is uvloop where it is installed; raises ConfigError if `uvloop` is missing."""
    if name == "asyncio":
        return asyncio.new_event_loop
    try:
        maker: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    except ImportError:
        if name == "uvloop":
            raise ConfigError("relay.loop: uvloop is not installed; pip install 'headwater[fast]'") from None
        return asyncio.new_event_loop
    return maker
