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
    "model_attributes_type": "must be a table",
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
        path, _ = _resolve(model, detail["loc"])
        kind = detail["type"]
        if kind == "extra_forbidden":
            found.append((path, _unknown_key(str(path[-1]), _keys_at(model, detail["loc"][:-1]))))
        elif kind == "missing":
            found.append((path, "is missing and has no default"))
        elif kind in ("union_tag_invalid", "union_tag_not_found"):
            found.append(_bad_tag(path, **detail["ctx"]))
        else:
            message = PLAIN_WORDS.get(kind, detail["msg"].removeprefix("Value error, "))
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


def _bad_tag(path: Path, discriminator: str, expected_tags: str = "", tag: str | None = None) -> tuple[Path, str]:
    """What to say of a table whose kind is not known, or not said."""
    key = (*path, discriminator.strip("'"))
    if tag is None:
        return key, "is missing and has no default"
    known = [name.strip(" '") for name in expected_tags.split(",")]
    return key, f"must be one of {', '.join(known)}{did_you_mean(tag, known)}; found {tag!r:.80}"


def _keys_at(model: type[BaseModel], location: Path) -> list[str]:
    here = _resolve(model, location)[1]
    return [field.alias or name for name, field in here.model_fields.items()] if here else []


def _resolve(model: type[BaseModel], location: Path) -> tuple[Path, type[BaseModel] | None]:
    """The path as the file has it, and the model there.

    Where a table is of one of several kinds, pydantic puts the kind's name into the location.
    """
    path: Path = ()
    here = [model]
    for part in location:
        if len(here) > 1 and isinstance(part, str):
            here = [one for one in here if _is_kind(one, part)]
            continue
        path = (*path, part)
        if here and isinstance(part, str):
            field = next((f for n, f in here[0].model_fields.items() if part in (n, f.alias)), None)
            here = _models_within(field.annotation) if field else here
    return path, here[0] if here else None


def _is_kind(model: type[BaseModel], tag: str) -> bool:
    return any(get_args(field.annotation) == (tag,) for field in model.model_fields.values())


def _models_within(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (list, tuple, dict, Union, UnionType, Annotated):
        return [model for argument in get_args(annotation) for model in _models_within(argument)]
    return []
