"""The JSON types of payload fields, and which values are of a type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

FieldType = Literal["string", "integer", "number", "boolean", "object", "array"]
FIELD_TYPES: tuple[FieldType, ...] = get_args(FieldType)

SAFE = 2**53
"""Whole numbers up to here are exact in every JSON reader (RFC 8259 §6)."""


def is_integer(value: Any) -> bool:
    """Whether a value is a whole number; a boolean is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a number; a boolean is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


fits: Mapping[FieldType, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": is_integer,
    "number": is_number,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}
"""Whether a value is of a type."""


def with_article(type: FieldType) -> str:
    """`an integer`, `a string`."""
    return f"an {type}" if type[0] in "aio" else f"a {type}"
