"""Payload models: pydantic checks of what is sent in by hand. Imported only when somebody sends something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticCustomError

from eventbus.catalog.errors import Problem, format_path, format_value, join_names
from eventbus.catalog.model import EventType, FieldType, PayloadField

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

TYPES: dict[FieldType, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "object": dict[str, Any],
    "array": list[Any],
}
CONFIG = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def payload_model(event: EventType) -> type[BaseModel]:
    """The pydantic model of an event type's payload, built once for each `EventType` value.

    It checks types, bounds and choices, requires the required fields, and refuses unknown ones. Lists that values are
    picked from are examples, not bounds: any value of the type passes.
    """
    model: type[BaseModel] | None = vars(event).get("_payload_model")
    if model is None:
        model = vars(event)["_payload_model"] = _model(event.name, event.payload, event.description)
    return model


def validate(event: EventType, payload: Any) -> list[Problem]:
    """Everything that is wrong with a payload; empty when it fits."""
    try:
        payload_model(event).model_validate(payload)
    except ValidationError as error:
        return [Problem(_path(detail["loc"]), _message(detail)) for detail in error.errors(include_url=False)]
    return []


def _model(name: str, fields: tuple[PayloadField, ...], description: str) -> type[BaseModel]:
    # Payload names are free (`json`, `copy`), attribute names of a model are not: so the payload's name is an alias.
    members: dict[str, Any] = {f"field_{n}": (_type(name, field), _info(field)) for n, field in enumerate(fields)}
    return create_model(name, __config__=CONFIG, __doc__=description or None, **members)


def _type(owner: str, field: PayloadField) -> Any:
    if field.fields is not None:
        return _model(f"{owner}.{field.name}", field.fields, field.description)
    values = field.source.accepted
    return TYPES[field.type] if values is None else Annotated[TYPES[field.type], _among(values)]


def _info(field: PayloadField) -> Any:
    low, high = field.source.bounds
    default = ... if field.required else None
    return Field(default, alias=field.name, description=field.description or None, ge=low, le=high)


def _among(values: tuple[Any, ...]) -> AfterValidator:
    """Membership after the type was checked: `Literal` would take `true` and `1.0` for 1."""
    expected = join_names(dict.fromkeys(repr(value) for value in values))

    def check(value: Any) -> Any:
        if value not in values:
            raise PydanticCustomError("among", "expected {expected}", {"expected": expected})
        return value

    return AfterValidator(check)


def _path(location: tuple[str | int, ...]) -> str:
    return format_path(("payload", *location))


def _message(detail: ErrorDetails) -> str:
    if detail["type"] == "missing":
        return "required, but missing"
    if detail["type"] == "extra_forbidden":
        return "unknown field"
    expected = detail["msg"].replace("Input should be", "expected").partition(" or instance of")[0]
    return f"{expected}, got {format_value(detail['input'])}"
