"""Signatures, made and checked with ssh-keygen(1), which is on every board that is reached over ssh.

The format is OpenSSH's SSHSIG (PROTOCOL.sshsig). Its namespace keeps a signature that was made for anything else,
such as a login or a git commit, from passing for an update.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from .errors import Refused, UpdateError

NAMESPACE = "headwater-update"
KEYS = Path("/etc/headwater/update.pub")
KEY = re.compile(r"((?:sk-)?(?:ssh-|ecdsa-)[A-Za-z0-9@.-]+) ([A-Za-z0-9+/]+={0,2})(?: .*)?")
"""A line of a `.pub` file."""


def sign(data: bytes, key: Path) -> bytes:
    """The signature by a key's file, or, for a `.pub` file, by the agent that has the key; raises UpdateError."""
    command = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE]
    made = subprocess.run(command, input=data, capture_output=True, check=False)
    if made.returncode != 0 or not made.stdout:
        raise UpdateError(f"{key}: cannot sign with it: {_last_line(made.stderr)}")
    return made.stdout


def verify(data: bytes, signature: bytes, keys: str, where: str) -> None:
    """Check that one of the keys, lines of `.pub` files, made the signature; raises Refused."""
    signers = [f'{NAMESPACE} namespaces="{NAMESPACE}" {key}\n' for key in parse_keys(keys)]
    if not signers:
        raise Refused(f"{where} names no key, so that no update can be trusted: put the signer's .pub file there")
    with tempfile.TemporaryDirectory() as folder:
        allowed, made = Path(folder, "allowed_signers"), Path(folder, "signature")
        allowed.write_text("".join(signers))
        made.write_bytes(signature)
        options = ["-f", str(allowed), "-I", NAMESPACE, "-n", NAMESPACE, "-s", str(made)]
        checked = subprocess.run(
            ["ssh-keygen", "-Y", "verify", *options], input=data, capture_output=True, check=False
        )
    if checked.returncode != 0:
        raise Refused(
            f"the update is not signed by a key of {where}: {_last_line(checked.stderr or checked.stdout)}"
        )


def parse_keys(text: str) -> list[str]:
    """The keys in lines of `.pub` files, without their comments."""
    found = (KEY.fullmatch(line.strip()) for line in text.splitlines())
    return [f"{key[1]} {key[2]}" for key in found if key]


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "ssh-keygen does not say why"
