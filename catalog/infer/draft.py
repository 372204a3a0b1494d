"""Infers a catalog from a JSON Schema or an AsyncAPI document."""

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


@dataclass(frozen=True, kw_only=True)
class DraftCatalog:
    """A catalog that was inferred or learned, with comments for its readers."""

    catalog: Catalog
    notes: Mapping[Location, Sequence[str]] = field(default_factory=dict)
    """Comments by location in the catalog, such as `("chains", "payment", "weight")`."""
    head: Sequence[str] = ()
    """Comment at the top of the file."""
    base: Catalog | None = None
    """The catalog that the file extends; None for a file that stands alone."""

    def text(self) -> str:
        """Writes the YAML file; it passes `catalog lint`.

        Raises:
            CatalogError: the catalog is not valid.
        """
        for location, problem in validate(self.catalog):
            raise CatalogError(f"no catalog can be made of this: {format_path(location)}: {problem}")
        return yaml_text(catalog_document(self.catalog, self.base), self.notes, self.head)


SCHEMA_KEYWORDS = {
    *("$schema", "$ref", "$defs", "definitions", "allOf", "anyOf", "oneOf"),
    *("properties", "type", "enum", "const", "items", "$id"),
}
VERIFY_NOTE = "verify: marks what was guessed, because the document does not say it"


def infer(path: Path) -> DraftCatalog:
    """Infers a catalog from a file; what the file does not say is guessed and marked `verify: …`.

    Args:
        path: a JSON or YAML file: a JSON Schema of one or several events, or an AsyncAPI 2 or 3 document.

    Raises:
        CatalogError: the file is neither, or a reference in it cannot be resolved.
    """
    return infer_document(_read_document(path), path.stem.split(".")[0], path.name)


def infer_document(root: Any, stem: str, name: str) -> DraftCatalog:
    """Infers a catalog from a parsed document.

    Args:
        root: the document.
        stem: name of what the document does not name.
        name: name of the file, for messages and comments.
    """
    document = Document(root)
    if isinstance(root, dict) and "asyncapi" in root:
        info = document.resolved(root.get("info", {}))
        kind, title, schemas = "AsyncAPI", str(info.get("title", stem)), list(messages(document))
    else:
        _check_schema(root)
        kind, title, schemas = "JSON Schema", stem, list(schema_events(document, stem))
    if not schemas:
        raise CatalogError(f"{name} describes no event")
    inference = _Inference(document, organisation_name(title), "-".join(words(title)) or stem)
    return inference.draft(schemas, f"Made from the {kind} document {name}.")


class _Inference:
    def __init__(self, document: Document, organisation: str, source: str) -> None:
        self._document = document
        self._organisation = organisation
        self._source = source
        self._payloads = PayloadInference(document)
        self._events: dict[str, EventType] = {}

    def draft(self, schemas: list[EventSchema], head: str) -> DraftCatalog:
        root = self._document.root if isinstance(self._document.root, dict) else {}
        self._payloads.lists.update({name: tuple(items) for name, items in root.get("x-lists", {}).items()})
        for schema in schemas:
            self._add_event(schema)
        known: dict[str, Chain] = exported_chains(root) if root.get("asyncapi") else {}
        emitted = {state.emits for chain in known.values() for state in chain.states.values()}
        remaining = {name: event for name, event in self._events.items() if name not in emitted}
        inference = ChainInference(remaining, self._payloads.lists, dict(known))
        inference.infer()
        partitions = dict(topics(self._document)) if root.get("asyncapi") else {}
        events = {**self._events, **inference.events}
        domains = {event.domain for event in events.values()}
        return DraftCatalog(
            catalog=Catalog(
                events=events,
                chains=inference.chains,
                lists=self._payloads.lists,
                partitions={name: count for name, count in partitions.items() if name in domains},
            ),
            notes=_merge_notes(self._payloads.notes, inference.notes),
            head=[head, VERIFY_NOTE] if inference.notes or self._payloads.notes else [head],
        )

    def _add_event(self, schema: EventSchema) -> None:
        if schema.name in self._events:
            return
        name = event_type_name(schema.name, self._organisation, self._events)
        action = words(name.split(".")[-2])
        payload = self._payloads.payload(name, schema.payload, begins=not BEGINNINGS.isdisjoint(action))
        self._events[name] = EventType(
            name=name,
            description=" ".join(schema.description.split()),
            source=schema.source or self._source,
            schema_version=schema.version or "1.0.0",
            payload=payload,
        )


def _merge_notes(*sources: Mapping[Location, Sequence[str]]) -> dict[Location, list[str]]:
    merged: dict[Location, list[str]] = {}
    for notes in sources:
        for location, texts in notes.items():
            merged.setdefault(location, []).extend(texts)
    return merged


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
    """Reads dates as strings, as JSON does."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's interface
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _check_schema(root: Any) -> None:
    expected = "expected a JSON Schema of events, or an AsyncAPI document"
    if isinstance(root, list) and root and all(isinstance(schema, dict) for schema in root):
        for schema in root:
            _check_schema(schema)
    elif not isinstance(root, dict) or not root:
        raise CatalogError(f"{expected}, got {format_value(root)}")
    elif "event_id" in root or not SCHEMA_KEYWORDS & root.keys():
        hint = "; recorded events are for `eventbus catalog learn`" if "event_id" in root else ""
        raise CatalogError(f"{expected}, got an object with {join_names(map(str, root))}{hint}")
