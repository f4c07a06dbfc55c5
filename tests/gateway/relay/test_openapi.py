"""The relay's OpenAPI document, and schemathesis, which asks a real relay whatever it makes it think of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import ignored_auth, negative_data_rejection, not_a_server_error, positive_data_acceptance
from schemathesis.core.parameters import ParameterLocation

from gateway.relay.application import page_routes
from gateway.relay.openapi import document
from gateway.relay.openapi.operations import OPERATIONS
from tests.gateway.relay.api_yard import STREAM, Api, administrator, api_in, guarded
from tests.gateway.relay.conftest import Relay

EXAMPLES = 15
LIVE = "/api/v1/live"
ONLY_HTTP = [not_a_server_error, negative_data_rejection, positive_data_acceptance]
"""Checks that take 101 for an error; and what is wrong with a WebSocket's query is told in a message."""
LABELS = [f"{operation.method.upper()} {operation.path}" for operation in OPERATIONS]
ASKED = [f"GET {operation.path}" for operation in OPERATIONS if operation.asked is not None]
QUESTIONS = (("from", "to"), ("epoch", "index", "count"), ("at", "before", "after"), ("last",), ("last_frames",))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A relay that asks for tokens, and an administrator who asks it."""
    folder = tmp_path_factory.mktemp("api")
    with api_in(folder, guarded(folder), administrator()) as running:
        yield running


@pytest.fixture(scope="module")
def schema(api: Api) -> schemathesis.BaseSchema:
    """What the relay says of itself, so strict that an answer may hold nothing that is not described."""
    found = api.document
    for described in found["components"]["schemas"].values():
        if "properties" in described:
            described["additionalProperties"] = False
    for parameter in found["paths"][LIVE]["get"]["parameters"]:
        if parameter["name"] == "Sec-WebSocket-Key":  # of a pattern schemathesis makes no header
            parameter["schema"] = {"type": "string", "enum": parameter["schema"]["examples"]}
    return schemathesis.openapi.from_dict(found)


def call(api: Api, case: Case[Any], *, known: bool = True, auth: bool = False) -> int:
    """Ask, of a stream that is `known` if of any, and hold the answer against the document; its status."""
    parts = case.meta.components if case.meta is not None else {}
    good = {where for where, part in parts.items() if part.mode is GenerationMode.POSITIVE}
    if ParameterLocation.PATH in good and known:
        case.path_parameters = dict(zip(("device", "stream"), STREAM, strict=True))
    if ParameterLocation.QUERY in good and case.query:
        case.query = answerable(case.query)
    if auth:
        return case.call_and_validate(base_url=api.url, session=api.session, checks=[ignored_auth]).status_code
    headers, left_out = dict[str, str](), [ignored_auth]  # it would ask twice more each time
    if case.operation.path == LIVE:
        headers["Connection"] = "Upgrade"  # which schemathesis leaves out
        left_out += ONLY_HTTP
    answer = case.call_and_validate(
        base_url=api.url, session=api.session, headers=headers, excluded_checks=left_out
    )
    if (case.method, case.operation.path) == ("GET", LIVE) and ParameterLocation.HEADER in good:
        assert answer.status_code == 101
    return answer.status_code


def answerable(query: Mapping[str, Any]) -> dict[str, Any]:
    """The query without what a schema cannot forbid: two questions in one, or half of one."""
    asked = next((names for names in QUESTIONS if any(name in query for name in names)), ())
    others = {name for names in QUESTIONS for name in names if name not in asked}
    kept = {name: value for name, value in query.items() if name not in others}
    if "from" in kept:
        kept.pop("to", None)
    if "epoch" in asked:
        kept = {"epoch": 1, "index": 0, **kept}
    if "at" in asked:
        kept = {"at": 0, **kept}
    if kept.get("format") == "ndjson":
        kept.pop("points", None)
    return kept


@pytest.mark.parametrize("label", LABELS)
def test_at_every_bound_the_relay_answers_as_its_document_says(
    api: Api, schema: schemathesis.BaseSchema, label: str
) -> None:
    operation = schema.find_operation_by_label(label)
    assert operation is not None
    config = schema.config.generation_for(operation=operation)
    cases = schema.iter_coverage_cases(operation, generation_modes=list(GenerationMode), generation_config=config)
    seen = {call(api, case) for case in cases}
    assert max(seen) < 500
    documented = {int(status) for status in operation.responses.status_codes}
    assert documented & {101, 200, 400} <= seen, "or else nothing was tested"


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("label", ASKED)
def test_whatever_is_asked_the_relay_answers_as_its_document_says(
    api: Api, schema: schemathesis.BaseSchema, label: str, mode: GenerationMode
) -> None:
    operation = schema.find_operation_by_label(label)
    assert operation is not None

    @settings(max_examples=EXAMPLES, derandomize=True, database=None)
    @given(operation.as_strategy(generation_mode=mode), st.integers(0, 4))
    def ask(case: Case[Any], luck: int) -> None:
        call(api, case, known=luck > 0)

    ask()


@pytest.mark.parametrize("label", LABELS)
def test_what_needs_a_token_is_refused_to_who_has_none(
    api: Api, schema: schemathesis.BaseSchema, label: str
) -> None:
    operation = schema.find_operation_by_label(label)
    assert operation is not None
    config = schema.config.generation_for(operation=operation)
    cases = schema.iter_coverage_cases(
        operation, generation_modes=[GenerationMode.POSITIVE], generation_config=config
    )
    call(api, next(cases), auth=True)


async def test_every_route_is_documented_and_everything_documented_is_a_route(relay: Relay) -> None:
    runner = relay.service._runner
    assert runner is not None
    pages = {route.prefix if isinstance(route, web.StaticDef) else route.path for route in page_routes()}
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in runner.app.router.routes()
        if route.resource is not None and route.method != "HEAD" and route.resource.canonical not in pages
    }
    paths = (await relay.get("/api/v1/openapi.json"))["paths"]
    documented = {(method, path) for path, item in paths.items() for method in item if method != "parameters"}
    assert documented == routes


def test_the_document_is_one_of_openapi_3_1_and_needs_no_token(api: Api, schema: schemathesis.BaseSchema) -> None:
    schema.validate()
    with api.stranger() as session:
        answer = session.get(f"{api.url}/api/v1/openapi.json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert answer.json() == json.loads(json.dumps(document(guarded=True)))


def test_the_document_asks_for_tokens_where_the_relay_does() -> None:
    for path, item in document(guarded=True)["paths"].items():
        free = path in ("/healthz", "/readyz", "/api/v1/openapi.json")
        assert (item["get"]["security"] == []) is (free or path == "/api/v1/session")
    assert "security" not in document(guarded=False)["paths"]["/metrics"]["get"]


def test_what_may_be_asked_is_what_the_models_take() -> None:
    parameters = document(guarded=False)["paths"]["/api/v1/streams/{device}/{stream}/samples"]["get"]["parameters"]
    points = next(parameter for parameter in parameters if parameter["name"] == "points")
    assert points["schema"] == {"type": "integer", "minimum": 2, "maximum": 8192}
    assert points["description"].startswith("Not the samples but the least and the greatest")
