"""Loads `queries.sql`: every statement that Python sends, by name."""

from __future__ import annotations

import re
from importlib.resources import files

NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load() -> dict[str, str]:
    """The statements by name, without their comments."""
    _, *parts = NAME.split((files("eventbus.processors") / "store" / "queries.sql").read_text("utf-8"))
    return {name: _bare(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _bare(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip().rstrip(";")


SQL = load()
