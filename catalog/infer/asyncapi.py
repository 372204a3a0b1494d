"""AsyncAPI 2 and 3 documents: messages and topics, and the chains that our own export adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eventbus.catalog.errors import CatalogError, InvalidCatalog, Mistake, format_value
from eventbus.catalog.export.yaml import flow
from eventbus.catalog.infer.jsonschema import Document, EventSchema, Schema, unwrap_envelope
from eventbus.catalog.model import Chain
from eventbus.catalog.reading.chains import read_chain
from eventbus.catalog.reading.document import YamlNode, compose

JSON_SCHEMA = ("schema+json", "schema+yaml", "aai", "asyncapi", "draft", "oai.openapi")
"""Parts of `schemaFormat` names that stand for JSON Schema or a dialect of it."""


def messages(document: Document) -> Iterator[EventSchema]:
    """The distinct messages, in the order of the channels, then those without a channel.

    Raises:
        CatalogError: the version is not supported, or a reference cannot be resolved.
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
    """The addresses of channels with a known number of Kafka partitions."""
    for name, channel in _mapping(document, "channels").items():
        resolved = document.resolved(channel)
        kafka = _member(document, resolved.get("bindings"), "kafka")
        if isinstance(count := kafka.get("partitions"), int) and count > 0:
            yield str(resolved.get("address") or name), count


def _all_messages(document: Document) -> Iterator[tuple[str, str, Any]]:
    """(channel, name, message) of each message."""
    for name, channel in _mapping(document, "channels").items():
        resolved = document.resolved(channel)
        address = str(resolved.get("address") or name)
        for key, message in resolved.get("messages", {}).items():
            yield address, key, message
        for action in ("publish", "subscribe"):  # AsyncAPI 2
            yield from _operation(document, address, resolved.get(action))
    components = document.resolved(document.root.get("components", {}))
    for key, message in document.resolved(components.get("messages", {})).items():
        yield "", key, message


def _operation(document: Document, address: str, operation: Any) -> Iterator[tuple[str, str, Any]]:
    resolved = document.resolved(operation or {})
    message = resolved.get("message")
    if message is None:
        return
    for alternative in document.resolved(message).get("oneOf") or [message]:
        name = str(alternative.get("$ref", "")).rsplit("/", 1)[-1]
        yield address, name or str(resolved.get("operationId") or address), alternative


def _message_schema(document: Document, message: Schema, name: str, channel: str) -> EventSchema:
    for trait in message.get("traits", ()):
        message = {**document.resolved(trait), **message}
    payload, schema_format = message.get("payload", {}), message.get("schemaFormat")
    if isinstance(payload, dict) and "schemaFormat" in payload:
        payload, schema_format = payload.get("schema", {}), payload["schemaFormat"]
    label = str(message.get("name") or name or channel)
    if schema_format is not None and not any(part in str(schema_format) for part in JSON_SCHEMA):
        raise CatalogError(f"the payload of {label} is {schema_format}: only JSON Schema is supported")
    description = str(message.get("summary") or message.get("description") or "")
    return unwrap_envelope(document, EventSchema(label, _with_examples(document, payload, message), description))


def _with_examples(document: Document, payload: Any, message: Schema) -> Any:
    """The payload's schema, with the values of the message's examples as examples of its properties."""
    examples = [
        example["payload"] for example in message.get("examples", ()) if isinstance(example.get("payload"), dict)
    ]
    schema = document.resolved(payload)
    properties = schema.get("properties", {})
    if not examples or "event_type" in properties:  # an envelope: its examples are not about payload fields
        return payload
    filled = {}
    for name, inner in properties.items():
        values = [example[name] for example in examples if name in example]
        resolved = document.resolved(inner)
        filled[name] = {**resolved, "examples": values} if values and "examples" not in resolved else inner
    return {**schema, "properties": filled}


def _mapping(document: Document, name: str) -> Mapping[str, Any]:
    value = document.root.get(name)
    return value if isinstance(value, dict) else {}


def _member(document: Document, value: Any, name: str) -> Schema:
    return document.resolved(document.resolved(value or {}).get(name) or {})


def chains(document: Mapping[str, Any]) -> dict[str, Chain]:
    """The chains of a document: those of `x-chains`, or those that the `x-chain` of its operations add up to.

    Raises:
        InvalidCatalog: the chains are malformed.
    """
    described = document.get("x-chains") or _chains_of_operations(document)
    mistakes: list[Mistake] = []
    chains = {name: read_chain(name, _node(name, _catalog_form(chain), mistakes)) for name, chain in described.items()}
    if mistakes:
        raise InvalidCatalog(mistakes)
    return chains


def _node(name: str, value: Any, mistakes: list[Mistake]) -> YamlNode:
    composed = compose(flow(value).encode(), "x-chains")
    assert composed is not None
    return YamlNode(composed, (name,), mistakes)


def _catalog_form(chain: Mapping[str, Any]) -> dict[str, Any]:
    """A chain as it stands in a catalog file: from its complete source, or from its transitions."""
    if "x-source" in chain:
        return dict(chain["x-source"])
    kept = {name: chain[name] for name in ("description", "weight", "start", "variables") if chain.get(name)}
    states = {name: _state(state) for name, state in chain["states"].items()}
    return {"weight": 1, **kept, "states": states}


def _state(state: Mapping[str, Any]) -> dict[str, Any]:
    if "next" not in state:
        return {"emits": state["emits"], "outcome": state.get("outcome", "completed")}
    transitions = [
        {"to": step["state"], "weight": step["probability"], "delay": step["delay_ms"]} for step in state["next"]
    ]
    total = sum(transition["weight"] for transition in transitions)
    return {"emits": state["emits"], "total": total, "next": transitions}


def _chains_of_operations(document: Mapping[str, Any]) -> dict[str, Any]:
    chains: dict[str, Any] = {}
    for operation in document.get("operations", {}).values():
        for place in operation.get("x-chain", ()):
            name = operation["messages"][0]["$ref"].rsplit("/", 1)[-1]
            states = chains.setdefault(place["chain"], {"states": {}})["states"]
            states[place["state"]] = {"emits": name, **{k: place[k] for k in ("next", "outcome") if k in place}}
    for chain in chains.values():
        reached = {step["state"] for state in chain["states"].values() for step in state.get("next", ())}
        chain["start"] = next((name for name in chain["states"] if name not in reached), next(iter(chain["states"])))
    return chains
