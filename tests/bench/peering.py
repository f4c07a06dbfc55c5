"""An environment of their own for what Headwater is measured beside: it depends on none of them."""

from __future__ import annotations

import subprocess
import venv
from importlib.metadata import version
from pathlib import Path

ENVIRONMENT = Path("build/bench-venv")

SENDERS = ("pylsl==1.18.6", "psi-mflow==1.0.0")
SERVERS = ("picows==2.3.1", "websockets==17.4")
SAME = ("aiohttp", "numpy", "paho-mqtt", "uvloop")
"""As in our environment, so that nothing but the peer differs."""


def peers_python() -> Path:
    """The environment's Python; makes the environment, and what is in it, if it is not there."""
    wanted = [*SENDERS, *SERVERS, *(f"{name}=={version(name)}" for name in SAME)]
    python = (ENVIRONMENT / "bin" / "python").absolute()
    stamp = ENVIRONMENT / "installed.txt"
    if not stamp.exists() or stamp.read_text(encoding="utf-8").split() != wanted:
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
        stamp.write_text("\n".join(wanted), encoding="utf-8")
    return python
