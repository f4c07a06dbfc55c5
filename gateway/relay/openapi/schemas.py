"""JSON schemas (2020-12, as OpenAPI 3.1 has them) of what is asked and answered. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from gateway.relay.words import Words

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/{model}"


class Untitled(GenerateJsonSchema):
    """Without titles that only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def reference(model: type[Any]) -> Schema:
    """Where the schema of a model is."""
    return {"$ref": REFERENCE.format(model=model.__name__)}


def components(models: Iterable[type[Any]]) -> dict[str, Schema]:
    """The schemas of models, and of those within them, by name."""
    mode: JsonSchemaMode = "validation"
    inputs = [(model.__name__, mode, TypeAdapter[Any](model)) for model in models]
    _, found = TypeAdapter.json_schemas(inputs, ref_template=REFERENCE, schema_generator=Untitled)
    schemas: dict[str, Schema] = found["$defs"]
    return {name: schemas[name] for name in sorted(schemas)}


def parameters(model: type[Words], without: Collection[str] = ()) -> list[Schema]:
    """The fields of a model as parameters of an address, none of which has to be there."""
    fields: dict[str, Schema] = model.model_json_schema(schema_generator=Untitled)["properties"]
    return [
        {"name": name, "in": "query", "description": field["description"], "schema": _present(field)}
        for name, field in fields.items()
        if name not in without
    ]


def _present(field: Schema) -> Schema:
    """The schema of a field that is there: an address has no null."""
    schema = {key: value for key, value in field.items() if key != "description"}
    if schema.get("default", ...) is None:
        del schema["default"]
    kinds = [kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        return {**kinds[0], **schema}
    return {"anyOf": kinds, **schema} if kinds else schema
