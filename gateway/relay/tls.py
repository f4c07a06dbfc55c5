"""The relay's certificate."""

from __future__ import annotations

import ssl

from gateway.config import RelaySettings
from gateway.errors import ConfigError


def server_context(settings: RelaySettings) -> ssl.SSLContext | None:
    """What connections are encrypted with; None if they are not. Raises ConfigError."""
    if settings.cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    load_certificate(context, settings)
    return context


def load_certificate(context: ssl.SSLContext, settings: RelaySettings) -> None:
    """Read certificate and key anew; raises ConfigError, and keeps the old ones, if they cannot be used."""
    assert settings.cert is not None
    try:
        context.load_cert_chain(settings.cert, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"relay.cert, relay.key: {settings.cert}: cannot be used: {error}") from None
