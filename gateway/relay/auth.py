"""Who may read what: bearer tokens (JWT, RFC 7519) with patterns of streams. Pure but for reading the keys."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt

from gateway.config import AuthSettings
from gateway.errors import ConfigError
from gateway.topics import NAME

COOKIE = "headwater"
SECRET_BYTES = 32
"""The shortest secret: RFC 7518, section 3.2."""
TOKEN_BYTES = 8 << 10
"""The longest token that is looked at."""
LEEWAY_S = 5
"""How far the clock of whoever makes the tokens may be off."""


class AuthError(Exception):
    """Nobody may read with this token; the text says why, and nothing of the token."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody may read, and until when."""

    streams: tuple[str, ...]
    """Patterns of `device/stream`: `*` stands for any part of a name."""
    admin: bool = False
    """Whether he may see who else reads, and the relay's figures."""
    expires: float | None = None
    """Seconds since 1970; None for ever."""

    def allows(self, stream: str) -> bool:
        """Whether the stream may be read."""
        device, _, name = stream.partition("/")
        return name != "" and any(_matches(pattern, device, name) for pattern in self.streams)

    def allows_device(self, device: str) -> bool:
        """Whether any stream of the device may be read, and so its status and events."""
        return any(fnmatchcase(device, pattern.partition("/")[0]) for pattern in self.streams)

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires is not None and time.time() > self.expires


EVERYTHING = Grant(("*/*",), admin=True)
"""What everybody may where no tokens are asked for."""


class Auth:
    """Checks tokens."""

    def __init__(self, settings: AuthSettings) -> None:
        self._settings = settings
        self._keys: list[tuple[Any, str]] = []
        self.reload()

    @property
    def wanted(self) -> bool:
        """Whether tokens are asked for."""
        return self._settings.wanted

    def reload(self) -> None:
        """Read the keys anew; raises ConfigError, and keeps the old ones, if they cannot be used."""
        keys = []
        if self._settings.secret_file is not None:
            keys.append((read_secret(self._settings.secret_file), "HS256"))
        if self._settings.public_key is not None:
            keys.append(_public_key(self._settings.public_key))
        self._keys = keys

    def check(self, token: str) -> Grant:
        """What the token grants; raises AuthError."""
        if len(token) > TOKEN_BYTES:
            raise AuthError("the token is too long")
        if not token.isascii():
            raise AuthError("the token is not valid: it has other characters than those of a JWT")
        problem = "no key fits the token"
        for key, algorithm in self._keys:
            try:
                claims = jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    leeway=LEEWAY_S,
                    options={"require": ["exp"], "verify_aud": False},
                )
            except jwt.ExpiredSignatureError:
                raise AuthError("the token has expired") from None
            except jwt.MissingRequiredClaimError:
                raise AuthError("the token has no expiry") from None
            except jwt.InvalidTokenError as error:
                problem = f"the token is not valid: {type(error).__name__}"
                continue
            return _grant(claims)
        raise AuthError(problem)

    def grant(self, headers: Mapping[str, str]) -> Grant | None:
        """What a request's headers grant; None if they hold no token; raises AuthError if it is wrong."""
        if not self.wanted:
            return EVERYTHING
        token = token_in(headers)
        return None if token is None else self.check(token)


def token_in(headers: Mapping[str, str]) -> str | None:
    """The token in `Authorization: Bearer …` or in the cookie."""
    kind, _, token = headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        return token.strip()
    try:
        morsel = SimpleCookie(headers.get("Cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None else None


def make_token(secret: bytes, streams: Sequence[str], lifetime_s: float, *, subject: str, admin: bool) -> str:
    """A token for these patterns; raises ValueError for one that can match nothing."""
    for pattern in streams:
        check_pattern(pattern)
    # no "iat": a board whose clock has fallen behind its own token must still take it
    expires = int(time.time() + lifetime_s)
    claims = {"sub": subject, "exp": expires, "streams": list(streams), "admin": admin}
    return jwt.encode(claims, secret, algorithm="HS256")


def check_pattern(pattern: str) -> str:
    """Return a pattern of streams; raises ValueError saying what is allowed."""
    device, slash, stream = pattern.partition("/")
    if not slash or not all(part and NAME.fullmatch(part.replace("*", "x")) for part in (device, stream)):
        raise ValueError(f"{pattern!r} is no pattern of streams: it must be 'device/stream', '*' for any part")
    return pattern


def read_secret(path: Path) -> bytes:
    """The secret in a file; raises ConfigError if it is too short."""
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(secret) < SECRET_BYTES:
        raise ConfigError(
            f"{path}: a secret must have at least {SECRET_BYTES} bytes, not {len(secret)}: "
            f"make one with 'openssl rand -base64 48'"
        )
    return secret


def allowed_origin(headers: Mapping[str, str], origins: Sequence[str]) -> bool:
    """Whether a request comes from no page, from a page of this server, or from one that was named."""
    origin = headers.get("Origin")
    if origin is None or origin in origins:
        return True
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        return False
    return host != "" and host.lower() == headers.get("Host", "").lower()


def _public_key(path: Path) -> tuple[Any, str]:
    """The key, and the one algorithm that it is good for."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise ConfigError(
            "auth.public_key: cryptography is not installed; pip install 'headwater[keys]'"
        ) from None
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{path}: is no public key in PEM") from None
    if isinstance(key, rsa.RSAPublicKey):
        return key, "RS256"
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key, "ES256"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key, "EdDSA"
    raise ConfigError(f"{path}: the key must be RSA, EC on P-256, or Ed25519")


def _grant(claims: Mapping[str, Any]) -> Grant:
    streams = claims.get("streams")
    if not isinstance(streams, list) or not all(isinstance(pattern, str) for pattern in streams):
        raise AuthError("the token names no streams")
    try:
        patterns = tuple(check_pattern(pattern) for pattern in streams)
    except ValueError as error:
        raise AuthError(str(error)) from None
    return Grant(patterns, claims.get("admin") is True, float(claims["exp"]) + LEEWAY_S)


def _matches(pattern: str, device: str, name: str) -> bool:
    for_device, _, for_name = pattern.partition("/")
    return fnmatchcase(device, for_device) and fnmatchcase(name, for_name)
