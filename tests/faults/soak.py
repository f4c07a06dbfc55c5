"""`make soak MINUTES=…`: all faults at random, and the audit in the end.

`python -m tests.faults.soak --minutes 10 --seed 5` repeats a run.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.rig import FAULTS, Rig

PAUSE_S = 1.5
"""The longest time between two faults."""


def main() -> int:
    """Make faults until the time is up; exit code 0 if every frame was delivered or declared lost."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    parser.add_argument("--durability", choices=["spill", "always"], default="spill")
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} minutes, {options.durability}", flush=True)
    ends = time.monotonic() + 60 * options.minutes
    outbox = {"durability": f'"{options.durability}"'}
    with tempfile.TemporaryDirectory() as folder, Rig(Path(folder), seed=options.seed, outbox=outbox) as rig:
        while time.monotonic() < ends:
            rig.pause(PAUSE_S)
            name = rig.random.choice(list(FAULTS))
            print(f"{ends - time.monotonic():7.1f} s left  {name}", flush=True)
            rig.make(name)
        report = rig.finish()
    print(json.dumps(report, indent=2))
    print(f"{len(rig.made)} faults, {len(report['epochs'])} epochs, {report['undeclared']} frames undeclared")
    return 0


if __name__ == "__main__":
    sys.exit(main())
