"""`headwater token`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.token import command
from gateway.config import AuthSettings
from gateway.relay.auth import Auth

SECRET = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def secret_file(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return str(path)


def test_the_relay_takes_the_token_for_what_it_was_made_for(secret_file: str) -> None:
    result = CliRunner().invoke(command, ["--secret-file", secret_file, "--for", "1h", "bbb1/*", "*/ecg"])
    assert result.exit_code == 0, result.output
    grant = Auth(AuthSettings(secret_file=Path(secret_file))).check(result.output.strip())
    assert (grant.streams, grant.admin) == (("bbb1/*", "*/ecg"), False)


def test_a_link_opens_the_page_with_the_token(secret_file: str) -> None:
    result = CliRunner().invoke(command, ["--secret-file", secret_file, "--link", "http://relay.lan:8080/", "*/*"])
    assert result.exit_code == 0, result.output
    place, _, token = result.output.strip().partition("#token=")
    assert place == "http://relay.lan:8080/"
    assert Auth(AuthSettings(secret_file=Path(secret_file))).check(token).allows("bbb1/ecg")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["ecg"], "'ecg' is no pattern of streams"),
        (["--for", "soon", "a/b"], "a duration such as"),
        (["--link", "relay.lan:8080", "a/b"], "must be the relay's address"),
        ([], "PATTERN"),
    ],
)
def test_what_makes_no_sense_is_refused(secret_file: str, arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(command, ["--secret-file", secret_file, *arguments])
    assert result.exit_code == 2
    assert complaint in result.output
