"""A JSON document whose `$ref`s are followed, as long as they stay inside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from eventbus.catalog.errors import CatalogError
from eventbus.catalog.words import listed, shown

Schema = dict[str, Any]

DEEPEST = 64
"""References to references that are followed."""


class Document:
    """Args:
    root: the whole document.
    """

    def __init__(self, root: Any) -> None:
        self.root = root

    def resolved(self, value: Any) -> Schema:
        """An object in place of its reference; what stands beside the reference wins.

        Raises:
            CatalogError: the reference leads out of the document, to nothing, or in a circle.
        """
        beside: Schema = {}
        for _ in range(DEEPEST):
            if not isinstance(value, dict):
                return beside  # `true`, which allows anything
            if not isinstance(reference := value.get("$ref"), str):
                return {**value, **beside}
            beside = {**{name: inner for name, inner in value.items() if name != "$ref"}, **beside}
            value = self.target(reference)
        raise CatalogError(f"the reference {reference!r} leads in a circle")

    def target(self, reference: str) -> Any:
        """What a reference refers to."""
        base, _, fragment = reference.partition("#")
        if base and base != self._id:
            raise CatalogError(
                f"{reference!r} refers to another document: only references within the file are followed,"
                " such as #/$defs/order; put what it refers to into the file"
            )
        if fragment and not fragment.startswith("/"):
            return self._anchored(self.root, fragment) or self._lost(reference)
        found = self.root
        for step in fragment.split("/")[1:]:
            found = self._below(found, unquote(step).replace("~1", "/").replace("~0", "~"), reference)
        return found

    @property
    def _id(self) -> str | None:
        identity = self.root.get("$id") if isinstance(self.root, dict) else None
        return identity.rstrip("#") if isinstance(identity, str) else None

    def _below(self, value: Any, step: str, reference: str) -> Any:
        if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            return value[int(step)]
        if isinstance(value, Mapping) and step in value:
            return value[step]
        names = listed(map(str, value)) if isinstance(value, Mapping) else shown(value)
        raise CatalogError(f"the reference {reference!r} leads to nothing: there is no {step!r} among {names}")

    def _anchored(self, value: Any, name: str) -> Any:
        if isinstance(value, dict):
            if value.get("$anchor") == name:
                return value
            return next((found for inner in value.values() if (found := self._anchored(inner, name))), None)
        if isinstance(value, list):
            return next((found for inner in value if (found := self._anchored(inner, name))), None)
        return None

    def _lost(self, reference: str) -> Any:
        raise CatalogError(f"the reference {reference!r} leads to nothing: there is no such $anchor")
