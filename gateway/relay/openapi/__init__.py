"""The API's OpenAPI document, made of the models that take questions apart and type the answers. Pure."""

from __future__ import annotations

from gateway.relay.openapi.document import document

__all__ = ["document"]
