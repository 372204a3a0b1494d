"""How values and names are worded in messages."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

Place = tuple[str | int, ...]
"""A path inside a document: `("chains", "vault-read", "states", "requested", "next", 0)`."""


def shown(value: Any) -> str:
    """A value as it would be written in YAML or JSON, cut at 60 characters."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Names in the given order, joined by commas; long lists are cut."""
    every = list(names)
    if len(every) > limit:
        return f"{', '.join(every[:limit])} and {len(every) - limit} more"
    return ", ".join(every) or "none"


def suggestion(name: str, known: Collection[str]) -> str:
    """` (did you mean 'x'?)` when a known name is near, else nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - needed only after a mistake, and slow to import

    near = get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def path_text(path: Place) -> str:
    """`chains.agent-execution.states.started.next[1].delay`; the whole document is `file`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".") or "file"
