"""What `headwater doctor` says, asked as the service that is to run: the same user, devices and secrets."""

from __future__ import annotations

import json

from .commands import attempt, last_words
from .configuration import ETC, GROUP, SECRETS
from .errors import UpdateError
from .units import GATEWAY, RELAY

CONFIGURATIONS = {GATEWAY: ETC / "device.toml", RELAY: ETC / "relay.toml"}
LONGEST_S = 90.0
UNUSABLE = 2
"""The exit code for a configuration that cannot be used."""


def examine(unit: str) -> list[str]:
    """What there is to do before the service runs well; nothing if the doctor cannot be asked."""
    properties = [f"User={GROUP}", f"Group={GROUP}", "StateDirectory=headwater"]
    if (ETC / SECRETS).is_dir():
        properties.append(f"LoadCredential={SECRETS}:{ETC / SECRETS}")
    inside = [
        "systemd-run",
        "--quiet",
        "--wait",
        "--pipe",
        "--collect",
        *(f"--property={each}" for each in properties),
    ]
    try:
        asked = attempt(*inside, "headwater", "doctor", "--json", str(CONFIGURATIONS[unit]), timeout_s=LONGEST_S)
        code, out, err = asked
        if code == UNUSABLE:
            return [last_words(err, 1)]
        return [f"{each['check']}: {each['found']}: {each['todo']}" for each in json.loads(out) if not each["ok"]]
    except (UpdateError, ValueError, KeyError, TypeError):
        return []
