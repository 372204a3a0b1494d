"""What the OpenAPI document says of the routes beside what FastAPI derives from their signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from eventbus.api.models import ErrorResponse, NewEvent

Responses = dict[int | str, dict[str, Any]]
"""The `responses` of a route: models by status."""

FASTAPI_ERRORS = ("HTTPValidationError", "ValidationError")
"""Schemas of FastAPI's 422 responses. Invalid input is answered with 400 and an `ErrorResponse` instead."""

EVENTS_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/NewEvent"},
                        {"type": "array", "items": {"$ref": "#/components/schemas/NewEvent"}},
                    ]
                }
            },
            "application/x-ndjson": {"schema": {"type": "string", "description": "One event a line"}},
        },
    }
}
"""The body of the route that publishes events, which reads it itself."""


def documented(model: type[BaseModel] | None = None, *errors: int) -> Responses:
    """The responses of a route that answers 200 with a model, or one of these statuses with an `ErrorResponse`."""
    responses: Responses = {status: {"model": ErrorResponse} for status in errors}
    return responses | ({200: {"model": model}} if model else {})


def openapi_of(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """A replacement for `app.openapi`; the first line of a route's docstring becomes its summary."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
                operation["summary"] = operation["description"].partition("\n")[0]
        schemas = document["components"]["schemas"]
        for name in FASTAPI_ERRORS:
            schemas.pop(name, None)
        schemas["NewEvent"] = NewEvent.model_json_schema()
        return document

    return openapi
