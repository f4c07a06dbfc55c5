"""A file, the environment and `--set` to one configuration; an error names its line or its key."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ValidationError,
)

from boards.options import Path as KeyPath
from boards.options import key_of, problems, without_passwords
from gateway.errors import ConfigError

ENVIRONMENT_PREFIX = "HEADWATER__"
Config = TypeVar("Config", bound=BaseModel)


def load(
    model: type[Config],
    path: Path | None,
    overrides: Iterable[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """Read and check a configuration; raises ConfigError with one line for each problem."""
    text = _read(path) if path is not None else ""
    name = str(path) if path is not None else "configuration"
    content = _tables(text, name)
    origins = _override(content, overrides, environment)
    return load_mapping(model, content, name, lambda key: _origin(origins, key, name, text))


def read_table(path: Path, name: str) -> dict[str, Any]:
    """One table of a file, unchecked; raises ConfigError."""
    table = _tables(_read(path), str(path)).get(name)
    if not isinstance(table, dict):
        raise ConfigError(
            f"{path}: {name}: must be one table; found {'none' if table is None else 'something else'}"
        )
    return table


def load_mapping(
    model: type[Config],
    content: Mapping[str, Any],
    name: str,
    place: Callable[[KeyPath], str] | None = None,
) -> Config:
    """Check what a file would hold; raises ConfigError with one line for each problem, saying where it is."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = []
        for path, problem in problems(error, model):
            key = _as_written(path, content)
            where = place(key) if place else name
            lines.append(f"{where}: {key_of(key)}: {problem}" if key else f"{where}: {problem}")
        raise ConfigError(without_passwords("\n".join(lines))) from None


def _as_written(path: KeyPath, content: Any) -> KeyPath:
    """The path without the numbers of lists that were written as their one element."""
    kept: list[int | str] = []
    for step in path:
        if isinstance(step, int) and isinstance(content, Mapping):
            continue
        kept.append(step)
        try:
            content = content[step]
        except (KeyError, IndexError, TypeError):
            content = None
    return tuple(kept)


def _tables(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(_not_toml(name, str(error))) from None


def _not_toml(name: str, problem: str) -> str:
    """tomllib's `problem (at line 3, column 7)`, with the line where all other errors have it."""
    at = re.fullmatch(r"(.*) \(at line ([0-9]+), (column [0-9]+)\)", problem, re.DOTALL)
    return f"{name}:{at[2]}: not TOML: {at[1]}, {at[3]}" if at else f"{name}: not TOML: {problem}"


def _origin(origins: Mapping[KeyPath, str], key: KeyPath, name: str, text: str) -> str:
    """Where a key, or what it stands in, or else what stands in it, was set."""
    for length in range(len(key), 0, -1):
        if key[:length] in origins:
            return origins[key[:length]]
    lines = _lines_of_keys(text)
    within = next((where for path, where in origins.items() if path[: len(key)] == key), None)
    if within is not None and key not in lines:
        return within
    line = next((lines[key[:length]] for length in range(len(key), 0, -1) if key[:length] in lines), None)
    return f"{name}:{line}" if line else name


def _override(
    content: dict[str, Any], overrides: Iterable[str], environment: Mapping[str, str]
) -> dict[KeyPath, str]:
    """Put what the environment and the command line say over the file's content; where each key came from."""
    origins: dict[KeyPath, str] = {}
    for variable, value in environment.items():
        if variable.startswith(ENVIRONMENT_PREFIX):
            keys = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            origins[_put(content, keys, value, variable)] = variable
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override}: must be key=value, such as mqtt.url=mqtt://127.0.0.1")
        where = f"--set {override}"
        origins[_put(content, key.strip().split("."), value, where)] = where
    return origins


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}"
        ) from None


def _put(content: dict[str, Any], keys: list[str], text: str, where: str) -> KeyPath:
    """Set one value, list elements by their number, and return its path."""
    place: Any = content
    path: KeyPath = ()
    try:
        for position, key in enumerate(keys):
            step: Any = range(len(place))[int(key)] if isinstance(place, list) else key
            path = (*path, step)
            if position == len(keys) - 1:
                place[step] = _value(text)
            else:
                place = place[step] if isinstance(place, list) else place.setdefault(step, {})
    except (ValueError, IndexError, TypeError, AttributeError):
        raise ConfigError(f"{where}: there is no place {'.'.join(keys)} in the configuration") from None
    return path


def _value(text: str) -> Any:
    """What TOML makes of the text, or else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


_HEADER = re.compile(r"\s*(\[{1,2})\s*([^\]]+?)\s*\]{1,2}\s*(?:#.*)?")
_KEY = re.compile(r"""\s*["']?([A-Za-z0-9_.-]+)["']?\s*=""")


def _lines_of_keys(text: str) -> dict[KeyPath, int]:
    """The line on which each key, table and list element begins."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.fullmatch(line):
            table = ()
            names = header[2].split(".")
            for position, name in enumerate(names):
                table = (*table, name.strip().strip("\"'"))
                last = position == len(names) - 1
                if last and header[1] == "[[":
                    lines.setdefault(table, number)
                    counts[table] = counts.get(table, -1) + 1
                if table in counts:
                    table = (*table, counts[table])
            lines[table] = number
        elif key := _KEY.match(line):
            lines[(*table, *key[1].split("."))] = number
    return lines
