"""Imports point one way, as the design draws them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "gateway").rglob("*.py"), *(ROOT / "boards").rglob("*.py")])
FILES = [path for path in FILES if "node_modules" not in path.parts]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, by its full name."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


MODULES = {module_of(path): sorted(set(imports_of(path))) for path in FILES}


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def found(importers: str, imported: str) -> list[str]:
    """Who in the one package imports something of the other."""
    return [
        f"{module} imports {name}"
        for module, names in MODULES.items()
        if within(module, importers)
        for name in names
        if within(name, imported)
    ]


def test_the_files_are_read() -> None:
    assert "gateway.model" in MODULES
    assert found("gateway.codec.cbor", "gateway.model"), "or else nothing is proved here"
    assert found("gateway.cli.run", "gateway.device")


FORBIDDEN = [
    # boards know nothing of MQTT, files of ours or networks
    ("boards", "gateway"),
    ("boards", "paho"),
    ("boards", "aiohttp"),
    # the model is pure data
    ("gateway.model", "gateway"),
    ("gateway.model", "boards"),
    # device, relay and client stand beside each other, and below the commands
    ("gateway.device", "gateway.relay"),
    ("gateway.device", "gateway.client"),
    ("gateway.device", "gateway.cli"),
    ("gateway.relay", "gateway.device"),
    ("gateway.relay", "gateway.client"),
    ("gateway.relay", "gateway.cli"),
    ("gateway.client", "gateway.device"),
    ("gateway.client", "gateway.relay"),
    ("gateway.client", "gateway.cli"),
    # nothing that runs needs what makes certificates, nor the other way round
    *((part, "gateway.provision") for part in ("gateway.device", "gateway.relay", "gateway.client")),
    *(
        ("gateway.provision", part)
        for part in ("gateway.device", "gateway.relay", "gateway.client", "gateway.cli")
    ),
    # only the device reads boards; the relay runs where there are none
    *((part, f"boards.{file}") for part in ("gateway.relay", "gateway.client") for file in ("base", "registry")),
    # what is below knows nothing of what is above
    *(
        (low, high)
        for low in ("gateway.codec", "gateway.topics", "gateway.mqtt", "gateway.config", "gateway.meta")
        for high in ("gateway.device", "gateway.relay", "gateway.client", "gateway.cli")
    ),
    ("gateway.codec", "gateway.mqtt"),
    ("gateway.codec", "paho"),
    ("gateway.topics", "paho"),
]


@pytest.mark.parametrize(("importers", "imported"), FORBIDDEN)
def test_imports_point_one_way(importers: str, imported: str) -> None:
    assert found(importers, imported) == []


@pytest.mark.parametrize(
    "module",
    [
        "gateway.model",
        "gateway.topics",
        "gateway.meta",
        "gateway.quantities",
        "gateway.codec.cbor",
        "gateway.codec.fields",
        "gateway.codec.json",
        "gateway.device.batcher",
        "gateway.provision.acl",
        "gateway.provision.names",
        "gateway.provision.register",
        "gateway.provision.settings",
        "gateway.relay.hub",
        "gateway.relay.catalogue",
        "gateway.relay.websocket",
        "boards.timeline",
    ],
)
def test_what_is_pure_does_no_input_or_output(module: str) -> None:
    outside = {"asyncio", "logging", "os", "pathlib", "queue", "socket", "subprocess", "threading", "time", "paho"}
    assert {name.partition(".")[0] for name in MODULES[module]} & outside == set()


def test_paho_is_used_only_where_connections_are_kept_up() -> None:
    users = {module for module, names in MODULES.items() if any(within(name, "paho") for name in names)}
    assert users == {"gateway.mqtt", "gateway.relay.loop_client", "gateway.relay.loop_connection"}


LEVEL = re.compile(r"/(stream|event|request)/|/(status|health|meta|batch|latest)(?![A-Za-z])")
"""What a topic of ours has after the device's name."""


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each string that is not a docstring; of an f-string, its fixed parts."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in lone:
            yield node.lineno, node.value


def test_only_one_file_knows_the_topics() -> None:
    offenders = [
        f"{module_of(path)}:{line}: {text!r}"
        for path in FILES
        if module_of(path) != "gateway.topics" and path.is_relative_to(ROOT / "gateway")
        for line, text in texts_of(path)
        if LEVEL.search(text)
    ]
    assert offenders == []
