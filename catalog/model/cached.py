"""Values that keep what was computed from their fields."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


class Cached:
    """Base of dataclasses with cached properties: pickling leaves the cached results out."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]  # a dataclass
