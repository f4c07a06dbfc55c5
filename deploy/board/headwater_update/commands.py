"""Running other programs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from .errors import UpdateError

LONGEST_S = 1800.0
"""The longest that anything may take: dpkg on a slow card."""


def run(*command: str, environment: Mapping[str, str] | None = None, timeout_s: float = LONGEST_S) -> str:
    """Its output; raises UpdateError with the last lines that it said."""
    code, out, err = attempt(*command, environment=environment, timeout_s=timeout_s)
    if code != 0:
        raise UpdateError(f"{command[0]} failed ({code}): {last_words(err or out)}")
    return out


def attempt(
    *command: str, environment: Mapping[str, str] | None = None, timeout_s: float = LONGEST_S
) -> tuple[int, str, str]:
    """Its exit code, output and error output; raises UpdateError if it cannot be run or does not end."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UpdateError(f"{command[0]} did not end within {timeout_s:g} s") from None
    except OSError as error:
        raise UpdateError(f"{command[0]} cannot be run: {error.strerror}") from None
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def last_words(output: str, lines: int = 3) -> str:
    """The last lines of an output, as one."""
    return " / ".join(line.strip() for line in output.strip().splitlines()[-lines:]) or "it does not say why"


def fields(output: str, separator: str) -> dict[str, str]:
    """Lines of `name<separator>value`."""
    pairs: Sequence[tuple[str, str, str]] = [line.partition(separator) for line in output.splitlines()]
    return {name.strip(): value.strip() for name, found, value in pairs if found}
