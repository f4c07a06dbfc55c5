"""The relay's container, built for real and run as far as that goes without an engine; and compose's file.

The Debian base is made here, since no registry of images is asked. It differs from the public one in its age, and
in trusting whom this machine trusts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT, RunningProcess
from tests.support.waiting import wait_until
from tests.vm.nspawn import CACHE

pytestmark = pytest.mark.timeout(1500)

BASE = "docker.io/library/debian:bookworm-slim"
TRUSTED = "/etc/ssl/certs/ca-certificates.crt"
FOLDER = ROOT / "deploy" / "container"
CONFIG = '[relay]\nlisten = "0.0.0.0:8080"\n[auth]\nsecret_file = "/etc/headwater/tokens"\n'


class Builder:
    """buildah with a store of its own."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._global = ["buildah", "--root", str(store / "root"), "--runroot", str(store / "run")]

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        return [*self._global, *arguments]

    def run(self, *arguments: str) -> str:
        """Its output; it has to succeed."""
        done = subprocess.run(
            self.command(*arguments), cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.strip()


ENVIRONMENT = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    """With an image called headwater-relay."""
    store = tmp_path_factory.mktemp("store")
    made = Builder(store)
    tree = CACHE / "debian-base.tar"
    if not tree.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        options = ("--mode=root", "--variant=minbase", "--include=ca-certificates")
        subprocess.run(["mmdebstrap", "--quiet", *options, "bookworm", f"{tree}.making.tar"], check=True)
        Path(f"{tree}.making.tar").rename(tree)
    base = made.run("from", "scratch")
    made.run("add", base, str(tree), "/")
    made.run("copy", base, TRUSTED, "/etc/trusted.pem")
    made.run("config", "--env", "PIP_CERT=/etc/trusted.pem", "--env", "NODE_EXTRA_CA_CERTS=/etc/trusted.pem", base)
    made.run("commit", "--quiet", base, BASE)
    made.run("rm", base)
    source = ("--file", str(FOLDER / "Containerfile"), "--ignorefile", ".containerignore", ".")
    made.run("bud", "--format", "docker", "--pull-never", "--tag", "headwater-relay", *source)
    yield made
    shutil.rmtree(store)


@pytest.fixture
def inside() -> Iterator[list[str]]:
    """A network of its own, in which port 8080 is free: what commands begin with to be in it."""
    with RunningProcess(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 1000"]
    ) as network:
        network.wait_for("up")
        yield ["nsenter", "--net", "--target", str(network.pid)]


def test_the_image_runs_the_relay_as_a_user_that_is_not_root_and_knows_how_it_is(
    builder: Builder, inside: list[str], tmp_path: Path
) -> None:
    about: dict[str, Any] = json.loads(builder.run("inspect", "--type", "image", "headwater-relay"))
    config = about["Docker"]["config"]
    assert config["User"] == "10001:10001"
    kind, *check = config["Healthcheck"]["Test"]
    assert kind == "CMD"

    (tmp_path / "relay.toml").write_text(CONFIG)
    (tmp_path / "tokens").write_text("s" * 48)
    tmp_path.chmod(0o755)
    container = builder.run("from", "--pull-never", "headwater-relay")
    mount = ("--volume", f"{tmp_path}:/etc/headwater:ro")
    within: Sequence[str] = [*inside, *builder.command("run", *mount, container, "--")]
    checking = [*inside, *builder.command("run", container, "--", *check)]
    assert subprocess.run(checking, env=ENVIRONMENT, check=False, capture_output=True).returncode != 0
    with (
        RunningProcess(
            [*inside, "mosquitto", "-p", "1883"], {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        ),
        RunningProcess([*within, *config["Entrypoint"], *config["Cmd"]], ENVIRONMENT) as relay,
    ):
        relay.wait_for("relay: listening on http://0.0.0.0:8080", 60)
        relay.wait_for("broker: connected to", 60)
        checked = subprocess.run(checking, env=ENVIRONMENT, check=False, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        started = ["relay", "/etc/headwater/relay.toml"]
        program = next(path for path in Path("/proc").glob("[0-9]*") if _program(path)[-2:] == started)
        assert _owner(program) == 10001
        assert (program / "root/var/lib/headwater/relay-8080/history").is_dir()
        os.kill(int(program.name), 15)
        wait_until(lambda: not relay.running, "a clean stop")
        assert relay.wait() == 0, relay


def test_the_image_holds_exactly_the_locked_packages_and_nothing_to_build_with(builder: Builder) -> None:
    container = builder.run("from", "--pull-never", "headwater-relay")
    script = "import importlib.metadata as m; print(*sorted({d.name.lower() for d in m.distributions()}))"
    names = builder.run("run", container, "--", "/opt/headwater/bin/python", "-I", "-c", script).split()
    locked = {
        line.partition("==")[0]
        for line in (FOLDER / "requirements.lock").read_text().splitlines()
        if "==" in line and "win32" not in line
    }
    assert {name.replace("_", "-") for name in names} == {*locked, "headwater"}
    page = "import gateway.relay.application as s; print((s.PAGE / 'index.html').is_file())"
    assert builder.run("run", container, "--", "/opt/headwater/bin/python", "-c", page) == "True"


def test_compose_understands_its_file_and_gives_nobody_root_or_capabilities() -> None:
    environment = {**os.environ, "PKI": "/srv/pki", "CONFIG": "/srv/config", "USER_ID": "1234", "GROUP_ID": "1235"}
    command = ["docker-compose", "--file", str(FOLDER / "compose.yaml"), "config"]
    read = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    for line in ("user: 1234:1235", "read_only: true", "- ALL", "- no-new-privileges:true"):
        assert read.count(line) == 2, line
    assert "/srv/pki/broker:/mosquitto/config:ro" in read
    assert "127.0.0.1:8080:8080/tcp" in read
    assert "/var/lib/headwater:rw" in read


def _program(process: Path) -> list[str]:
    """Its command line, unless it is one of those that bring the program into the container."""
    try:
        words = (process / "cmdline").read_bytes().decode().rstrip("\0").split("\0")
    except OSError:
        return []
    return words if "python" in words[0] else []


def _owner(process: Path) -> int:
    return process.stat().st_uid
