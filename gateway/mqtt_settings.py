"""Which broker, and how to log in: the `[mqtt]` table, and the options of the commands that are given none."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator

from boards.options import Options, without_passwords
from gateway.credentials import readable

PORTS = {"mqtt": 1883, "mqtts": 8883}


class MqttSettings(Options):
    """The `[mqtt]` table."""

    url: str = "mqtt://127.0.0.1:1883"
    root: str = "headwater"
    password_file: Path | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    keepalive: int = Field(default=15, ge=2, le=3600)
    """Seconds."""
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    """`auto` speaks MQTT 5, and 3.1.1 to brokers that refuse 5 or do not answer it."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        allowed = "must be mqtt://[user@]host[:port] or mqtts://[user@]host[:port]"
        try:
            port = parts.port
        except ValueError:
            raise ValueError(f"{allowed}, with a port from 1 to 65535") from None
        if parts.scheme not in PORTS or not parts.hostname or port == 0 or parts.path.strip("/"):
            raise ValueError(allowed)
        return url

    @field_validator("root")
    @classmethod
    def _check_root(cls, root: str) -> str:
        if not root or root.startswith(("/", "$")) or root.endswith("/") or set(root) & set("+#\0"):
            raise ValueError("must be topic levels without '+', '#' or a '/' at either end")
        return root

    @field_validator("password_file", "ca", "cert", "key")
    @classmethod
    def _check_file(cls, path: Path | None) -> Path | None:
        return None if path is None else readable(path)

    @property
    def address(self) -> str:
        """The URL, fit to be shown: without a password."""
        return without_passwords(self.url)

    @property
    def host(self) -> str:
        """The broker's host."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The broker's port."""
        parts = urlsplit(self.url)
        return parts.port or PORTS[parts.scheme]

    @property
    def secure(self) -> bool:
        """Whether the connection is to use TLS."""
        return urlsplit(self.url).scheme == "mqtts"

    def credentials(self) -> tuple[str | None, str | None]:
        """User and password; the file goes before what the URL holds."""
        parts = urlsplit(self.url)
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        if self.password_file is not None:
            password = self.password_file.read_text(encoding="utf-8").strip()
        return user, password

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context, for mqtts."""
        if not self.secure:
            return None
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context
