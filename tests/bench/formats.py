"""Events in each format: CloudEvents beside the JSON event, Avro and Protocol Buffers beside their own libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import fastavro

from eventbus.catalog import Catalog
from eventbus.catalog.export.typed import message
from eventbus.catalog.export.typed_text import avro_schema, protobuf_schema
from eventbus.chains import ChainGenerator
from eventbus.chains.rendering import CLOUDEVENTS, CLOUDEVENTS_BINARY, JSON, Format
from eventbus.chains.rendering.registry import SchemaForm, registered
from tests.bench.generator import in_turns
from tests.bench.table import Row
from tests.unit.chains.protofile import message_classes

CHAINS = 60_000
SAMPLE = 1000
"""Chains whose events are ready for the libraries."""


def rows() -> Iterator[Row]:
    """Blocks of bytes, then Kafka records."""
    clouds: dict[str, Format] = {"CloudEvents, structured": CLOUDEVENTS, "CloudEvents, binary": CLOUDEVENTS_BINARY}
    for what, work in (("null sink", blocks), ("Kafka records", records)):
        rates, baseline = in_turns([work(format) for format in clouds.values()], work(JSON))
        for name, rate in zip(clouds, rates, strict=True):
            yield Row(f"{name}, {what}", rate, baseline, "JSON events", target="≥ 0.7")
    for name, form, library, ready in (
        ("Avro", "avro", "fastavro.schemaless_writer", fastavro_writes),
        ("Protocol Buffers", "protobuf", "Google's classes", google_writes),
    ):
        format = wire(form)  # type: ignore[arg-type]  # one of the two
        rates, baseline = in_turns([blocks(format), records(format)], ready(format))
        yield Row(f"{name}, null sink", rates[0], baseline, f"{library} of ready dicts", target="≥ 300,000")
        yield Row(f"{name}, Kafka records", rates[1], baseline, "the same", target="≥ 300,000")


def blocks(format: Format) -> Callable[[], int]:
    return lambda: sum(map(len, ChainGenerator(seed=7).blocks(chains=CHAINS, format=format)))


def records(format: Format) -> Callable[[], int]:
    return lambda: sum(map(len, ChainGenerator(seed=7).records(chains=CHAINS, format=format)))


def wire(form: SchemaForm) -> Format:
    """Confluent's wire format with a schema for each event type, their numbers those of their order."""
    names: list[str] = []

    def register(subject: str, schema: str, kind: str) -> int:
        names.append(subject)
        return len(names)

    return registered(form, Catalog.default(), register, subjects="record")


def values(format: Format) -> Iterator[tuple[str, bytes]]:
    """Event types, and records without what stands before them: 5 bytes for Avro, 6 for Protocol Buffers."""
    for some in ChainGenerator(seed=7).records(chains=SAMPLE, format=format):
        for record in some:
            yield dict(record.headers or ())["event_type"].decode(), record.value or b""


def fastavro_writes(format: Format) -> Callable[[], int]:
    catalog = Catalog.default()
    schemas = {name: fastavro.parse_schema(avro_schema(message(catalog, [name]))) for name in catalog.events}
    ready: list[tuple[Any, Any]] = [
        (schemas[name], fastavro.schemaless_reader(BytesIO(value[5:]), schemas[name], None))
        for name, value in values(format)
    ]

    def work() -> int:
        for schema, event in ready:
            fastavro.schemaless_writer(BytesIO(), schema, event)
        return len(ready)

    return work


def google_writes(format: Format) -> Callable[[], int]:
    catalog = Catalog.default()
    messages = {name: message(catalog, [name]) for name in catalog.events}
    classes = {name: message_classes(protobuf_schema(one))[one.name] for name, one in messages.items()}
    ready = [(classes[name], plain(classes[name].FromString(value[6:]))) for name, value in values(format)]

    def work() -> int:
        for made, event in ready:
            made(**event).SerializeToString()
        return len(ready)

    return work


def plain(message: Any) -> dict[str, Any]:
    """What a message is made of."""
    return {
        field.name: value if not field.message_type or field.is_repeated else plain(value)
        for field, value in message.ListFields()
    }
