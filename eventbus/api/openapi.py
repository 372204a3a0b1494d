"""What the OpenAPI document says where FastAPI would say something else than happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from eventbus.api.models import NewEvent

NOT_OURS = ("HTTPValidationError", "ValidationError")
"""Bad input is answered with 400 and our error form, never with FastAPI's 422."""

INJECTION: dict[str, Any] = {
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


def openapi_of(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """A replacement for `app.openapi`."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        schemas = document["components"]["schemas"]
        for name in NOT_OURS:
            schemas.pop(name, None)
        schemas["NewEvent"] = NewEvent.model_json_schema()
        return document

    return openapi
