"""A catalog that was worked out from something else, and what a reader should know about each of its guesses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eventbus.catalog.bootstrap.document import catalog_document
from eventbus.catalog.bootstrap.layout import yaml_text
from eventbus.catalog.catalog import Catalog
from eventbus.catalog.checks.everything import problems
from eventbus.catalog.errors import CatalogError
from eventbus.catalog.words import Place, path_text


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """A catalog and comments."""

    catalog: Catalog
    notes: Mapping[Place, Sequence[str]] = field(default_factory=dict)
    """By place in the catalog: `("chains", "payment", "weight")`."""
    head: Sequence[str] = ()
    """About the whole."""
    beneath: Catalog | None = None
    """The catalog on top of which the file will be read; None: the file stands alone."""

    def text(self) -> str:
        """The YAML file: it passes `catalog lint`, and events can be generated from it at once.

        Raises:
            CatalogError: what was worked out is no good catalog.
        """
        for place, problem in problems(self.catalog):
            raise CatalogError(f"no catalog can be made of this: {path_text(place)}: {problem}")
        return yaml_text(catalog_document(self.catalog, self.beneath), self.notes, self.head)
