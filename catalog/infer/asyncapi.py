"""Chains from documents that were exported from a catalog."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from eventbus.catalog.errors import CatalogError, InvalidCatalog, Mistake, format_value
from eventbus.catalog.export.yaml import flow
from eventbus.catalog.infer.jsonschema import Document, EventSchema, Schema, unwrap_envelope
from eventbus.catalog.model import Chain
from eventbus.catalog.reading.chains import read_chain
from eventbus.catalog.reading.document import YamlNode

# The messages of an AsyncAPI document of version 2 or 3.


JSON_SCHEMA = ("schema+json", "schema+yaml", "aai", "asyncapi", "draft", "oai.openapi")
"""What the names of formats contain that are JSON Schema or nearly so."""


def messages(document: Document) -> Iterator[EventSchema]:
    """Every message once, in the order of the channels, then those of no channel.

    Raises:
        CatalogError: of an unknown version, or a reference cannot be followed.
    """
    version = str(document.root.get("asyncapi"))
    if version.partition(".")[0] not in {"2", "3"}:
        raise CatalogError(f"expected AsyncAPI 2 or 3, got version {format_value(version)}")
    seen: list[Any] = []
    for channel, name, message in _all_messages(document):
        resolved = document.resolved(message)
        if resolved not in seen:
            seen.append(resolved)
            yield _message_schema(document, resolved, name, channel)


def topics(document: Document) -> Iterator[tuple[str, int]]:
    """The addresses of channels, and their Kafka partitions where they are known."""
    for name, channel in _mapping(document, "channels").items():
        resolved = document.resolved(channel)
        kafka = _member(document, resolved.get("bindings"), "kafka")
        if isinstance(count := kafka.get("partitions"), int) and count > 0:
            yield str(resolved.get("address") or name), count


def _all_messages(document: Document) -> Iterator[tuple[str, str, Any]]:
    """Channel, name and message."""
    for name, channel in _mapping(document, "channels").items():
        resolved = document.resolved(channel)
        address = str(resolved.get("address") or name)
        for key, message in resolved.get("messages", {}).items():
            yield address, key, message
        for word in ("publish", "subscribe"):  # of version 2
            yield from _operation(document, address, resolved.get(word))
    components = document.resolved(document.root.get("components", {}))
    for key, message in document.resolved(components.get("messages", {})).items():
        yield "", key, message


def _operation(document: Document, address: str, operation: Any) -> Iterator[tuple[str, str, Any]]:
    resolved = document.resolved(operation or {})
    message = resolved.get("message")
    if message is None:
        return
    for one in document.resolved(message).get("oneOf") or [message]:
        last = str(one.get("$ref", "")).rsplit("/", 1)[-1]
        yield address, last or str(resolved.get("operationId") or address), one


def _message_schema(document: Document, message: Schema, name: str, channel: str) -> EventSchema:
    for trait in message.get("traits", ()):
        message = {**document.resolved(trait), **message}
    payload, form = message.get("payload", {}), message.get("schemaFormat")
    if isinstance(payload, dict) and "schemaFormat" in payload:
        payload, form = payload.get("schema", {}), payload["schemaFormat"]
    called = str(message.get("name") or name or channel)
    if form is not None and not any(word in str(form) for word in JSON_SCHEMA):
        raise CatalogError(f"the payload of {called} is {form}: only JSON Schema is read")
    about = str(message.get("summary") or message.get("description") or "")
    return unwrap_envelope(document, EventSchema(called, _with_examples(document, payload, message), about))


def _with_examples(document: Document, payload: Any, message: Schema) -> Any:
    """The payload's schema, its properties with the values that the message's examples have for them."""
    examples = [one["payload"] for one in message.get("examples", ()) if isinstance(one.get("payload"), dict)]
    schema = document.resolved(payload)
    properties = schema.get("properties", {})
    if not examples or "event_type" in properties:  # an envelope, whose examples say nothing of the payload's fields
        return payload
    filled = {
        name: {**document.resolved(inner), "examples": values}
        if (values := [one[name] for one in examples if name in one]) and "examples" not in document.resolved(inner)
        else inner
        for name, inner in properties.items()
    }
    return {**schema, "properties": filled}


def _mapping(document: Document, name: str) -> Mapping[str, Any]:
    found = document.root.get(name)
    return found if isinstance(found, dict) else {}


def _member(document: Document, value: Any, name: str) -> Schema:
    return document.resolved(document.resolved(value or {}).get(name) or {})


def chains(document: Mapping[str, Any]) -> dict[str, Chain]:
    """The chains of an AsyncAPI document: of `x-chains`, or pieced together from the `x-chain` of its operations.

    Raises:
        InvalidCatalog: they cannot be read.
    """
    found = document.get("x-chains") or _chains_of_operations(document)
    mistakes: list[Mistake] = []
    read = {name: read_chain(name, _node(name, _catalog_form(one), mistakes)) for name, one in found.items()}
    if mistakes:
        raise InvalidCatalog(mistakes)
    return read


def _node(name: str, value: Any, mistakes: list[Mistake]) -> YamlNode:
    composed = yaml.compose(flow(value), yaml.SafeLoader)
    assert composed is not None
    return YamlNode(composed, "x-chains", (name,), mistakes)


def _catalog_form(chain: Mapping[str, Any]) -> dict[str, Any]:
    """A chain as a file has it: exported completely, or with the ways as they are shown."""
    if "x-source" in chain:
        return dict(chain["x-source"])
    kept = {name: chain[name] for name in ("description", "weight", "start", "variables") if chain.get(name)}
    states = {name: _state(state) for name, state in chain["states"].items()}
    return {"weight": 1, **kept, "states": states}


def _state(state: Mapping[str, Any]) -> dict[str, Any]:
    if "next" not in state:
        return {"emits": state["emits"], "outcome": state.get("outcome", "completed")}
    ways = [{"to": way["state"], "weight": way["probability"], "delay": way["delay_ms"]} for way in state["next"]]
    return {"emits": state["emits"], "total": sum(way["weight"] for way in ways), "next": ways}


def _chains_of_operations(document: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for operation in document.get("operations", {}).values():
        for place in operation.get("x-chain", ()):
            name = operation["messages"][0]["$ref"].rsplit("/", 1)[-1]
            states = found.setdefault(place["chain"], {"states": {}})["states"]
            states[place["state"]] = {"emits": name, **{k: place[k] for k in ("next", "outcome") if k in place}}
    for chain in found.values():
        reached = {way["state"] for state in chain["states"].values() for way in state.get("next", ())}
        chain["start"] = next((name for name in chain["states"] if name not in reached), next(iter(chain["states"])))
    return found
