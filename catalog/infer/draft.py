"""`bootstrap`: a catalog from a JSON Schema or an AsyncAPI document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import yaml

from eventbus.catalog.catalog import Catalog
from eventbus.catalog.errors import CatalogError, Location, format_path, format_value, join_names
from eventbus.catalog.export.yaml import catalog_document, yaml_text
from eventbus.catalog.infer.asyncapi import chains as exported_chains
from eventbus.catalog.infer.asyncapi import messages, topics
from eventbus.catalog.infer.chains import BEGINNINGS, ChainInference, event_type_name, organisation_name, words
from eventbus.catalog.infer.jsonschema import Document, EventSchema, schema_events
from eventbus.catalog.infer.values import PayloadInference
from eventbus.catalog.model import Chain, EventType
from eventbus.catalog.validation import validate

# A catalog that was worked out from something else, and what a reader should know about each of its guesses.


@dataclass(frozen=True, kw_only=True)
class DraftCatalog:
    """A catalog and comments."""

    catalog: Catalog
    notes: Mapping[Location, Sequence[str]] = field(default_factory=dict)
    """By place in the catalog: `("chains", "payment", "weight")`."""
    head: Sequence[str] = ()
    """About the whole."""
    base: Catalog | None = None
    """The catalog on top of which the file will be read; None: the file stands alone."""

    def text(self) -> str:
        """The YAML file: it passes `catalog lint`, and events can be generated from it at once.

        Raises:
            CatalogError: what was worked out is no good catalog.
        """
        for place, problem in validate(self.catalog):
            raise CatalogError(f"no catalog can be made of this: {format_path(place)}: {problem}")
        return yaml_text(catalog_document(self.catalog, self.base), self.notes, self.head)


SCHEMA_KEYWORDS = {
    *("$schema", "$ref", "$defs", "definitions", "allOf", "anyOf", "oneOf"),
    *("properties", "type", "enum", "const", "items", "$id"),
}
VERIFY_NOTE = "verify: what has this word was guessed, because the document does not say it"


def infer(path: Path) -> DraftCatalog:
    """A catalog from what a file describes; what the file does not say is guessed, and noted as `verify: …`.

    Args:
        path: JSON or YAML: a JSON Schema of one event or of several, or an AsyncAPI document of version 2 or 3.

    Raises:
        CatalogError: the file is neither, or a reference in it cannot be followed.
    """
    return infer_document(_read_document(path), path.stem.split(".")[0], path.name)


def infer_document(root: Any, stem: str, name: str) -> DraftCatalog:
    """A catalog from a document that was read.

    Args:
        stem: names what the document does not name.
        name: of the file.
    """
    document = Document(root)
    if isinstance(root, dict) and "asyncapi" in root:
        info = document.resolved(root.get("info", {}))
        kind, title, found = "AsyncAPI", str(info.get("title", stem)), list(messages(document))
    else:
        _check_schema(root)
        kind, title, found = "JSON Schema", stem, list(schema_events(document, stem))
    if not found:
        raise CatalogError(f"{name} describes no event")
    return _Inference(document, organisation_name(title), "-".join(words(title)) or stem).draft(
        found, f"Made from the {kind} document {name}."
    )


class _Inference:
    def __init__(self, document: Document, first: str, source: str) -> None:
        self._document = document
        self._organisation = first
        self._source = source
        self._fields = PayloadInference(document)
        self._events: dict[str, EventType] = {}

    def draft(self, found: list[EventSchema], head: str) -> DraftCatalog:
        root = self._document.root if isinstance(self._document.root, dict) else {}
        self._fields.lists.update({name: tuple(items) for name, items in root.get("x-lists", {}).items()})
        for one in found:
            self._event(one)
        known: dict[str, Chain] = exported_chains(root) if root.get("asyncapi") else {}
        told = {state.emits for chain in known.values() for state in chain.states.values()}
        untold = {name: one for name, one in self._events.items() if name not in told}
        plot = ChainInference(untold, self._fields.lists, dict(known))
        plot.guess()
        partitions = dict(topics(self._document)) if root.get("asyncapi") else {}
        events = {**self._events, **plot.events}
        domains = {event.domain for event in events.values()}
        return DraftCatalog(
            catalog=Catalog(
                events=events,
                chains=plot.chains,
                lists=self._fields.lists,
                partitions={name: count for name, count in partitions.items() if name in domains},
            ),
            notes={**self._fields.notes, **_merge_notes(self._fields.notes, plot.notes)},
            head=[head, VERIFY_NOTE] if plot.notes or self._fields.notes else [head],
        )

    def _event(self, found: EventSchema) -> None:
        if found.name in self._events:
            return
        name = event_type_name(found.name, self._organisation, self._events)
        action = words(name.split(".")[-2])
        payload = self._fields.payload(name, found.payload, begins=not BEGINNINGS.isdisjoint(action))
        self._events[name] = EventType(
            name=name,
            description=" ".join(found.description.split()),
            source=found.source or self._source,
            schema_version=found.version or "1.0.0",
            payload=payload,
        )


def _merge_notes(one: Any, other: Any) -> dict[Any, list[str]]:
    return {place: [*one.get(place, ()), *notes] for place, notes in other.items()}


def _read_document(path: Path) -> Any:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CatalogError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if path.suffix == ".json":
            raise CatalogError(f"{path} is not JSON: {error}") from error
    try:
        return yaml.load(text, _JsonLoader)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise CatalogError(f"{path} is neither JSON nor YAML: {problem}") from error


class _JsonLoader(yaml.SafeLoader):
    """Leaves dates as the texts that JSON has."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's interface
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _check_schema(root: Any) -> None:
    expected = "expected a JSON Schema of events, or an AsyncAPI document"
    if isinstance(root, list) and root and all(isinstance(one, dict) for one in root):
        for one in root:
            _check_schema(one)
    elif not isinstance(root, dict) or not root:
        raise CatalogError(f"{expected}, got {format_value(root)}")
    elif "event_id" in root or not SCHEMA_KEYWORDS & root.keys():
        hint = "; recorded events are for `eventbus catalog learn`" if "event_id" in root else ""
        raise CatalogError(f"{expected}, got an object with {join_names(map(str, root))}{hint}")
