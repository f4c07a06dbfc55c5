"""Options with types and limits, and errors that say what was found, where, and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from boards.errors import BadOption


class Options(BaseModel):
    """The root of every set of options: unknown keys are errors, nothing is changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, arbitrary_types_allowed=True)


Model = TypeVar("Model", bound=BaseModel)

Path = tuple[int | str, ...]

PLAIN_WORDS = {
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
}
"""What pydantic says in Python's words, in those of the file."""


def parse_options(model: type[Model], values: Mapping[str, Any], where: str) -> Model:
    """The values as `model`; raises BadOption with one line for each wrong one, each beginning with `where`."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        lines = [f"{where}: {key_of(path)}: {text}" for path, text in problems(error, model)]
        raise BadOption("\n".join(lines)) from None


def key_of(path: Path) -> str:
    """`("stream", 0, "rate")` as `stream[0].rate`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "(top level)"


def problems(error: ValidationError, model: type[BaseModel]) -> list[tuple[Path, str]]:
    """Each problem's path and what to say of it: what was found and what is allowed."""
    found: list[tuple[Path, str]] = []
    for detail in error.errors(include_url=False):
        path: Path = detail["loc"]
        if detail["type"] == "extra_forbidden":
            found.append((path, _unknown_key(str(path[-1]), _keys_at(model, path[:-1]))))
        elif detail["type"] == "missing":
            found.append((path, "is missing and has no default"))
        else:
            message = PLAIN_WORDS.get(detail["type"], detail["msg"].removeprefix("Value error, "))
            value = without_passwords(repr(detail["input"]))
            shown = f"; found {value:.80}" if path else ""  # of everything together nothing can be shown
            found.append((path, f"{message[:1].lower()}{message[1:]}{shown}"))
    return found


def without_passwords(text: str) -> str:
    """The text with `***` for what stands between `://user:` and `@`."""
    return re.sub(r"(://[^\s/:@]*):[^\s/@]*@", r"\1:***@", text)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """`; did you mean 'x'?`, or nothing if no known name is near."""
    near = get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _unknown_key(key: str, known: list[str]) -> str:
    return f"unknown key; allowed here: {', '.join(known)}{did_you_mean(key, known)}"


def _keys_at(model: type[BaseModel], path: Path) -> list[str]:
    here: type[BaseModel] | None = model
    for part in path:
        if here is None:
            return []
        if isinstance(part, str):
            field = next((f for n, f in here.model_fields.items() if part in (n, f.alias)), None)
            here = _model_within(field.annotation) if field else here
    return [field.alias or name for name, field in here.model_fields.items()] if here else []


def _model_within(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (list, tuple, dict, Union, UnionType, Annotated):
        for argument in get_args(annotation):
            inner = _model_within(argument)
            if inner is not None:
                return inner
    return None
