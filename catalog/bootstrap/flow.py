"""A value in one line of YAML: what both readers of 1.1 and of 1.2 take for the same value."""

from __future__ import annotations

import re
from typing import Any

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*")
"""Texts that need no quotes, also inside brackets ..."""
WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
"""... unless some YAML reads a value in them."""
ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def flow(value: Any) -> str:
    """A value as JSON has it, in flow style: `{uniform: [50, 150]}`."""
    if isinstance(value, dict):
        members = ", ".join(f"{text(str(key))}: {flow(inner)}" for key, inner in value.items())
        return f"{{{members}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return number(value)


def text(value: str) -> str:
    """A text, in quotes where it could be taken for something else."""
    if PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    return f'"{"".join(map(_escaped, value))}"'


def number(value: float) -> str:
    """A number; a whole one has no fraction."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return repr(value)


def _escaped(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
