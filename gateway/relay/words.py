"""What a client asks for, in the words of an address or of a message: taken apart by the model that also describes
it in the API's document. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, WithJsonSchema

from boards.errors import BadOption
from boards.options import Options, parse_options
from gateway.errors import TopicError
from gateway.topics import NAME, check_name, split_stream_key


class Words(Options):
    """The root of what may be asked for; the docstrings of its fields are their descriptions."""

    model_config = ConfigDict(use_attribute_docstrings=True, populate_by_name=False)


Asked = TypeVar("Asked", bound=Words)


def parse_words(model: type[Asked], given: Mapping[str, Any], where: str) -> Asked:
    """What was asked for; raises BadOption, in one line."""
    try:
        return parse_options(model, given, where)
    except BadOption as error:
        raise BadOption("; ".join(str(error).replace(f"{where}: (top level): ", "").splitlines())) from None


def each_once(query: Iterable[tuple[str, str]], where: str) -> dict[str, str]:
    """The parameters of an address by name; raises BadOption if one is there twice."""
    given: dict[str, str] = {}
    for name, value in query:
        if name in given:
            raise BadOption(f"{where}: {name!r:.80}: is given twice")
        given[name] = value
    return given


def _device(name: str) -> str:
    try:
        return check_name(name, "device")
    except TopicError as error:
        raise ValueError(str(error)) from None


def _stream(key: str) -> str:
    try:
        split_stream_key(key)
    except TopicError as error:
        raise ValueError(str(error)) from None
    return key


NAME_SCHEMA = {"type": "string", "pattern": f"^{NAME.pattern}$"}

DeviceName = Annotated[str, AfterValidator(_device), WithJsonSchema(NAME_SCHEMA)]
StreamKey = Annotated[
    str,
    AfterValidator(_stream),
    WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}/{NAME.pattern}$", "examples": ["demo/ecg"]}),
]
