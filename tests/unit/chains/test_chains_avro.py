"""Avro, read by fastavro: exactly the values of the JSON events."""

from __future__ import annotations

from io import BytesIO
from itertools import chain
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings

from eventbus.catalog import Catalog
from eventbus.catalog.export.typed import Message, message
from eventbus.catalog.export.typed_text import avro_schema
from eventbus.catalog.model import Tenants
from eventbus.chains import ChainGenerator
from eventbus.chains.rendering.avro import AvroFile, AvroFormat
from eventbus.chains.rendering.fixed import WireFormat
from eventbus.event import headers_of
from tests.unit.chains.catalogs import field, two_steps
from tests.unit.chains.expected import decoded, expected
from tests.unit.chains.typed import typed_catalogs


def read(message: Message, event: Any) -> Any:
    shape = message.payloads[message.branch(event["event_type"]) or 0].shape
    return {**event, "payload": decoded(shape, event["payload"])}


def file_of(generator: ChainGenerator, message: Message, chains: int) -> bytes:
    file = AvroFile(message)
    format = AvroFormat(dict.fromkeys(generator.catalog.events, message))
    blocks = generator.blocks(chains=chains, format=format)
    return file.head + b"".join(file.framed(len(block), block.buffer) for block in blocks)


def check_file(generator: ChainGenerator, chains: int) -> set[str]:
    """Compares a file with the JSON events; returns the types that were there."""
    every = message(generator.catalog, list(generator.catalog.events))
    lines = chain.from_iterable(generator.lines(chains=chains))
    found = [read(every, event) for event in fastavro.reader(BytesIO(file_of(generator, every, chains)))]
    assert found == [expected(every, line) for line in lines]
    return {event["event_type"] for event in found}


def test_a_file_of_the_shipped_catalog() -> None:
    """Every event of the shipped catalog, all its types, is read as what the JSON event says."""
    catalog = Catalog.default()
    catalog = catalog.with_weights(dict.fromkeys(catalog.chains, 1))
    assert check_file(ChainGenerator(catalog, seed=7), 3000) == set(catalog.events)


@given(typed_catalogs())
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_a_file_of_any_catalog(catalog: Catalog) -> None:
    """The same for payloads of every type, source and nesting, and names that no schema language allows."""
    check_file(ChainGenerator(catalog, seed=3, tenant_id="Größe"), 30)


@given(typed_catalogs())
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_records_of_any_catalog(catalog: Catalog) -> None:
    """Records have the magic byte and the schema's number before an Avro record, and the event's headers and key."""
    messages = {name: message(catalog, [name]) for name in catalog.events}
    ids = {name: 300 + number for number, name in enumerate(messages)}
    schemas = {ids[name]: fastavro.parse_schema(avro_schema(one)) for name, one in messages.items()}
    generator = ChainGenerator(catalog, seed=3)
    format = AvroFormat(messages, WireFormat("application/avro", ids))
    plain = list(chain.from_iterable(generator.records(chains=20)))
    assert len(plain) >= 20
    for record, json in zip(chain.from_iterable(generator.records(chains=20, format=format)), plain, strict=True):
        assert (record.key, record.topic, record.timestamp) == (json.key, json.topic, json.timestamp)
        assert record.value is not None
        assert json.value is not None
        assert record.value[0] == 0
        found: Any = fastavro.schemaless_reader(
            BytesIO(record.value[5:]), schemas[int.from_bytes(record.value[1:5], "big")], None
        )
        one = messages[found["event_type"]]
        assert read(one, found) == expected(one, json.value)
        assert list(record.headers or ()) == [("content-type", b"application/avro"), *headers_of(json.value)[1:]]


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_writes_the_same_file(workers: int) -> None:
    """A file is the same, byte for byte, whoever wrote its blocks."""
    generator = ChainGenerator(seed=7)
    every = message(generator.catalog, list(generator.catalog.events))
    format = AvroFormat(dict.fromkeys(generator.catalog.events, every))
    blocks = generator.blocks(chains=4000, format=format, workers=workers)
    file = AvroFile(every)
    assert file.head + b"".join(file.framed(len(b), b.buffer) for b in blocks) == file_of(generator, every, 4000)


def test_times_before_1978() -> None:
    """Early times need fewer digits than there is room for, and are read all the same."""
    from datetime import UTC, datetime

    check_file(ChainGenerator(seed=7, start=datetime(1970, 1, 1, tzinfo=UTC)), 5)


def test_messages_are_named_after_what_their_types_share() -> None:
    """One type: its own name; several: `Event`, in the namespace of the words that all begin with."""
    catalog = Catalog.default()
    assert message(catalog, ["omninode.agent.execution.failed.v1"]).full_name == "omninode.agent.ExecutionFailedV1"
    agents = [name for name in catalog.events if name.startswith("omninode.agent.")]
    assert message(catalog, agents).full_name == "omninode.agent.Event"
    assert message(catalog, list(catalog.events)).full_name == "omninode.Event"


def test_several_tenants() -> None:
    """Each event names the tenant of its chain."""
    check_file(ChainGenerator(seed=7, tenants=Tenants(count=12)), 100)


def test_numbers_of_either_sign() -> None:
    """Whole numbers and others, from tables and encoded one by one, small and as large as JSON can have them."""
    wide = [field(f"n{top}", type="integer", minimum=-top, maximum=top) for top in (1, 100, 10**6, 2**53)]
    real = [field(f"r{top}", type="number", minimum=-top, maximum=top, decimals=2) for top in (1, 10**6)]
    check_file(ChainGenerator(two_steps(*wide, *real), seed=3), 200)
