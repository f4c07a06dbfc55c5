"""Tokens: what they grant, and every way in which one is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import AuthSettings
from gateway.errors import ConfigError
from gateway.relay.auth import (
    COOKIE,
    Auth,
    AuthError,
    Grant,
    allowed_origin,
    check_pattern,
    make_token,
    token_in,
)

SECRET = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET + b"\n")
    return path


@pytest.fixture
def auth(secret_file: Path) -> Auth:
    return Auth(AuthSettings(secret_file=secret_file))


def token(claims: dict[str, Any] | None = None, *, key: Any = SECRET, algorithm: str = "HS256") -> str:
    content = {"exp": int(time.time()) + 60, "streams": ["bbb1/*"], **(claims or {})}
    return jwt.encode({name: value for name, value in content.items() if value is not None}, key, algorithm)


def test_a_relay_whose_clock_is_behind_takes_the_tokens_that_it_made_before(auth: Auth) -> None:
    made = make_token(SECRET, ["bbb1/*"], 60, subject="", admin=False)
    assert set(jwt.decode(made, options={"verify_signature": False})) & {"iat", "nbf"} == set()


def test_a_token_grants_the_streams_that_its_patterns_match(auth: Auth) -> None:
    grant = auth.check(make_token(SECRET, ["bbb1/*", "*/ecg"], 60, subject="me", admin=False))
    assert [grant.allows(stream) for stream in ("bbb1/breath", "x/ecg", "x/breath", "bbb1", "bbb10/x")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert not grant.admin
    assert not grant.expired


def test_a_device_is_allowed_if_any_of_its_streams_may_be() -> None:
    grant = Grant(("bbb1/ecg",))
    assert (grant.allows_device("bbb1"), grant.allows_device("bbb2")) == (True, False)


def test_without_keys_everything_is_granted() -> None:
    auth = Auth(AuthSettings())
    grant = auth.grant({})
    assert not auth.wanted
    assert grant is not None
    assert grant.allows("any/thing")
    assert grant.admin


REFUSED = {
    "expired": token({"exp": int(time.time()) - 60}),
    "no expiry": token({"exp": None}),
    "expiry that is none": token({"exp": "never"}),
    "not yet": token({"nbf": int(time.time()) + 600}),
    "another key": token(key=b"x" * 32),
    "another algorithm": token(algorithm="HS512", key=b"x" * 64),
    "alg none": jwt.encode({"exp": int(time.time()) + 60, "streams": ["*/*"]}, "", algorithm="none"),
    "no streams": token({"streams": None}),
    "streams of another type": token({"streams": "*/*"}),
    "a pattern that is none": token({"streams": ["#"]}),
    "a pattern of another type": token({"streams": [5]}),
    "nothing": "",
    "not a token": "a.b.c",
    "too long": "x" * 10_000,
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_wrong_token_is_refused_and_not_repeated(auth: Auth, kind: str) -> None:
    with pytest.raises(AuthError) as caught:
        auth.check(REFUSED[kind])
    assert REFUSED[kind] not in str(caught.value) or not REFUSED[kind]


def test_a_signature_that_was_tampered_with_is_refused(auth: Auth) -> None:
    head, _, signature = token().split(".")
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 2**40, "streams": ["*/*"]}).encode()).decode().rstrip("=")
    with pytest.raises(AuthError):
        auth.check(f"{head}.{claims}.{signature}")


@given(st.text(max_size=200))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    auth = Auth(AuthSettings())
    auth._keys = [(SECRET, "HS256")]
    with pytest.raises(AuthError):
        auth.check(text)


def test_what_the_public_key_s_owner_signed_is_taken_and_the_key_itself_is_no_secret(tmp_path: Path) -> None:
    """The classical confusion: a public key used as the secret of HS256."""
    path = tmp_path / "key.pem"
    private_keys: list[tuple[Any, str]] = [
        (rsa.generate_private_key(65537, 2048), "RS256"),
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ]
    for private, algorithm in private_keys:
        pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        path.write_bytes(pem)
        auth = Auth(AuthSettings(public_key=path))
        assert auth.check(token(key=private, algorithm=algorithm)).streams == ("bbb1/*",)
        head, claims = (
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
            for part in ({"alg": "HS256", "typ": "JWT"}, {"exp": 2**40, "streams": ["*/*"]})
        )
        signature = base64.urlsafe_b64encode(
            hmac.digest(pem, f"{head}.{claims}".encode(), hashlib.sha256)
        ).decode()
        with pytest.raises(AuthError):
            auth.check(f"{head}.{claims}.{signature.rstrip('=')}")


def test_keys_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("short")
    with pytest.raises(ConfigError, match="at least 32 bytes, not 5"):
        Auth(AuthSettings(secret_file=path))
    with pytest.raises(ConfigError, match="no public key in PEM"):
        Auth(AuthSettings(public_key=path))
    key = dsa.generate_private_key(1024).public_key()
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(ConfigError, match="must be RSA, EC on P-256, or Ed25519"):
        Auth(AuthSettings(public_key=path))


def test_keys_are_read_anew_and_kept_if_the_new_ones_are_wrong(secret_file: Path, auth: Auth) -> None:
    old, new = token(), token(key=b"n" * 32)
    secret_file.write_bytes(b"short")
    with pytest.raises(ConfigError):
        auth.reload()
    assert auth.check(old)
    secret_file.write_bytes(b"n" * 32)
    auth.reload()
    assert auth.check(new)
    with pytest.raises(AuthError):
        auth.check(old)


def test_a_token_is_found_in_the_header_or_in_the_cookie() -> None:
    assert token_in({"Authorization": "Bearer abc"}) == "abc"
    assert token_in({"Cookie": f"a=b; {COOKIE}=abc"}) == "abc"
    assert token_in({"Authorization": "Basic abc"}) is None
    assert token_in({"Authorization": "Bearer "}) is None
    assert token_in({"Cookie": "\x00;=,=;"}) is None
    assert token_in({}) is None


@given(st.text(max_size=30))
def test_a_pattern_is_two_names_with_stars_or_refused(text: str) -> None:
    try:
        check_pattern(text)
    except ValueError:
        return
    assert text.count("/") == 1
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.*/")


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1:8080", "Host": "127.0.0.1:8080"}, True),
        ({"Origin": "https://scope.example", "Host": "127.0.0.1:8080"}, True),
        ({"Origin": "http://evil.example", "Host": "127.0.0.1:8080"}, False),
        ({"Origin": "http://127.0.0.1:9999", "Host": "127.0.0.1:8080"}, False),
        ({"Origin": "null", "Host": "null"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://["}, False),
        ({"Origin": "http://[", "Host": "["}, False),
    ],
)
def test_pages_of_elsewhere_are_refused(headers: dict[str, str], allowed: bool) -> None:
    assert allowed_origin(headers, ["https://scope.example"]) is allowed
