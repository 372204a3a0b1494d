"""The catalog: event types, chains, lists and topics, loaded, validated and queried as one value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from eventbus.catalog.errors import Problem
from eventbus.catalog.graph.conformance import Conformance
from eventbus.catalog.model import Behaviour, Chain, Sections, lookup
from eventbus.catalog.reading.load import load_sections

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, kw_only=True)
class CatalogOrigin:
    """How a catalog was given: what `catalog.scenario.load_origin` needs to load it again.

    Changes made in Python (`with_weights`, `with_visitors`) are not in it; the catalog's `digest` tells.
    """

    paths: tuple[str, ...] = ()
    extend: bool = True
    """Whether the paths are on top of the shipped catalog."""
    scenario: str | None = None
    """Name or file of the scenario that changed it."""
    settings: tuple[str, ...] = ()
    """Overrides of the scenario."""
    chains: tuple[str, ...] = ()
    """The only ones that are switched on; none: as the files say."""


@dataclass(frozen=True, kw_only=True)
class Catalog(Sections):
    """Event types, chains, lists and topics of all domains together."""

    origin: CatalogOrigin = field(default=CatalogOrigin(), compare=False, repr=False)

    @classmethod
    def default(cls) -> Catalog:
        """The catalog shipped with the package, loaded once per process."""
        return _default()

    @classmethod
    def load(cls, *paths: str | Path, extend: bool = True) -> Catalog:
        """Load YAML files, or folders of them.

        Definitions of a later path replace those of the same name in earlier ones.

        Args:
            extend: load them on top of the shipped catalog; False: on their own.

        Raises:
            InvalidCatalog: with every mistake, each with file and line.
        """
        sections = load_sections([DATA, *map(Path, paths)] if extend else list(map(Path, paths)))
        return cls(**vars(sections), origin=CatalogOrigin(paths=tuple(map(str, paths)), extend=extend))

    def only(self, *names: str) -> Catalog:
        return replace(super().only(*names), origin=replace(self.origin, chains=names))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything the catalog says, in hexadecimal: catalogs with the same digest give the same events.

        Fields that have their default value do not count, so that a new field does not change it.
        """
        sections = [_plain(getattr(self, section.name)) for section in fields(Sections)]
        return hashlib.sha256(json.dumps(sections, default=repr).encode()).hexdigest()

    def validate(self, event_type: str, payload: Any) -> list[Problem]:
        """The problems of a payload of this type; empty if it is valid.

        Raises:
            UnknownName: no such event type.
        """
        from eventbus.catalog.payload_models import validate  # noqa: PLC0415 - pydantic is slow to import

        return validate(self.event_type(event_type), payload)

    @cached_property
    def conformance(self) -> Conformance:
        """What complete chains of this catalog look like."""
        return Conformance(self)

    def differences(self, chain: str | None, seen: Collection[str], outcome: str | None) -> list[str]:
        """How the events of a chain differ from the most similar path in this catalog, one sentence each.

        Args:
            chain: its name; None, or a name of another catalog, has no path to compare with.
            seen: the event types seen so far.
            outcome: None while the chain is in flight.
        """
        if chain is None:
            return []
        if chain not in self.chains:
            return [f"{chain} is not in this catalog."]
        return self.conformance.explain(chain, seen, ended=outcome is not None)

    def with_visitors(
        self, *, journeys: str | None = None, behaviour: Behaviour | None = None, users: int | None = None
    ) -> Catalog:
        """A copy with other visitors in all chains of sessions.

        Args:
            journeys: the set in use; None: unchanged.
            behaviour: how visitors behave; None: unchanged.
            users: how many different users there are (the chain's variable `user`), or more where more sessions may be
                open at once; None: unchanged.

        Raises:
            UnknownName: a chain of sessions has no set of this name.
        """
        sessions = [chain for chain in self.chains.values() if chain.visitors]
        changed = {chain.name: _with_visitors(chain, journeys, behaviour, users) for chain in sessions}
        return replace(self, chains={**self.chains, **changed})


def _plain(value: Any) -> Any:
    """A value of the model as JSON types: with the names of its classes, and mappings in their order."""
    if is_dataclass(value):
        given = {field.name: getattr(value, field.name) for field in fields(value)}
        defaults = {field.name: field.default for field in fields(value)}
        return [type(value).__name__, {name: _plain(given[name]) for name in given if given[name] != defaults[name]}]
    if isinstance(value, Mapping):
        return [[name, _plain(member)] for name, member in value.items()]
    return [_plain(member) for member in value] if isinstance(value, tuple | list) else value


@cache
def _default() -> Catalog:
    return Catalog.load()


def _with_visitors(chain: Chain, journeys: str | None, behaviour: Behaviour | None, users: int | None) -> Chain:
    assert chain.visitors is not None
    if journeys is not None:
        lookup(chain.visitors.sets, journeys, "set of journeys")
    visitors = replace(
        chain.visitors,
        journeys=journeys or chain.visitors.journeys,
        behaviour=behaviour or chain.visitors.behaviour,
    )
    variables = dict(chain.variables)
    if users is not None and "user" in variables:
        variables["user"] = replace(variables["user"], maximum=(variables["user"].minimum or 0) + users - 1)
    return replace(chain, visitors=visitors, variables=variables, max_steps=visitors.max_events)
