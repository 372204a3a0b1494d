"""The statements of `queries.sql`, by name."""

from __future__ import annotations

import re
from importlib.resources import files

name_pattern = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load() -> dict[str, str]:
    """Read the file; the statements come without comments."""
    _, *parts = name_pattern.split((files("eventbus.processors") / "store" / "queries.sql").read_text("utf-8"))
    return {name: _without_comments(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip().rstrip(";")


SQL = load()
