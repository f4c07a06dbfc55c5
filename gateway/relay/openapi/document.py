"""The document, put together. Pure."""

from __future__ import annotations

import re
from typing import Any

from gateway import __version__
from gateway.relay.auth import COOKIE
from gateway.relay.openapi.operations import OPERATIONS, Answer, Operation
from gateway.relay.openapi.schemas import Schema, components, parameters, reference
from gateway.relay.wish import Wish
from gateway.relay.words import NAME_SCHEMA

INTRODUCTION = """\
Streams of samples as they come, their history, and what happens beside them. Every sample is delivered or declared
lost. A refusal is one line of text that says what was found and what is allowed. A connection may be refused
before its request is known: with 503 if there are too many, 408 if the request's head did not come in time, 400 if
it is no HTTP. HEAD is for what can be known without asking: all but streams, samples, events and the WebSocket."""

REFUSALS = {
    400: "What was asked for cannot be had; the text says what can.",
    401: "A token is needed, or it is wrong or has expired.",
    403: "The token does not allow it, or it was asked by a page that may not.",
    404: "Nobody has heard of this stream.",
    413: "More than one array holds.",
    503: "Too many connections, or too many questions at a time.",
}
HEADERS = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    503: {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
}
EVERYWHERE = (403, 503)
LINE: Schema = {"type": "string", "pattern": r"^[^\n]+\n$"}

SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "none": [],
    "bearer": [{"bearer": []}],
    "any": [{"bearer": []}, {"cookie": []}],
    "later": [{"bearer": []}, {"cookie": []}, {}],
}


def document(*, guarded: bool) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a relay, which asks for tokens or does not."""
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        names = re.findall(r"\{(\w+)\}", operation.path)
        item = paths.setdefault(
            operation.path, {"parameters": [_in_path(name) for name in names]} if names else {}
        )
        item[operation.method] = _operation(operation, guarded=guarded)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headwater relay",
            "version": __version__,
            "summary": "Every sample is delivered or declared lost.",
            "description": INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": components([*_answers(), Wish]),
            "responses": {str(status): _refusal(status) for status in REFUSALS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    }


def _answers() -> set[type[Any]]:
    return {model for operation in OPERATIONS for answer in operation.answers.values() for model in answer.json}


def _operation(operation: Operation, *, guarded: bool) -> dict[str, Any]:
    refusals = {*EVERYWHERE, *operation.refusals, *((401,) if operation.needs != "none" else ())}
    responses: dict[int, Any] = {status: {"$ref": f"#/components/responses/{status}"} for status in refusals}
    for status, answer in operation.answers.items():
        responses[status] = _answer(answer, _refusal(status) if status in refusals else {"content": {}})
    asked = parameters(operation.asked, operation.without) if operation.asked is not None else []
    asked += [_in_header(name, schema) for name, schema in operation.headers.items()]
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        **({"description": operation.text} if operation.text else {}),
        **({"parameters": asked} if asked else {}),
        "responses": {str(status): responses[status] for status in sorted(responses)},
        **({"security": SECURITY[operation.needs]} if guarded else {}),
    }


def _answer(answer: Answer, otherwise: dict[str, Any]) -> dict[str, Any]:
    kinds = [reference(model) for model in answer.json]
    content = dict(answer.others)
    if kinds:
        content["application/json"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return {
        "description": " ".join(filter(None, [answer.text, otherwise.get("description")])),
        "headers": {name: _header(schema) for name, schema in answer.headers.items()},
        "content": {
            **otherwise["content"],
            **{kind: {"schema": schema} if schema else {} for kind, schema in content.items()},
        },
    }


def _refusal(status: int) -> dict[str, Any]:
    return {
        "description": REFUSALS[status],
        "headers": HEADERS.get(status, {}),
        "content": {"text/plain": {"schema": LINE}},
    }


def _in_path(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": NAME_SCHEMA}


def _in_header(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "header", "required": True, "schema": schema}


def _header(schema: Schema) -> Schema:
    rest = {key: value for key, value in schema.items() if key != "description"}
    return {"description": schema.get("description", ""), "schema": rest}
