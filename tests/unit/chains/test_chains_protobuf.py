"""Protocol Buffers, read by Google's library with the exported `.proto` file: exactly the values of the JSON events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import chain
from typing import Any

from google.protobuf.internal.decoder import _DecodeVarint32  # type: ignore[attr-defined]
from hypothesis import given, settings

from eventbus.catalog import Catalog
from eventbus.catalog.export.typed import ENVELOPE, Array, Message, Scalar, Shape, Struct, StructField, message
from eventbus.catalog.export.typed_text import protobuf_schema
from eventbus.catalog.model import Tenants
from eventbus.chains import ChainGenerator
from eventbus.chains.rendering.fixed import WireFormat
from eventbus.chains.rendering.protobuf import ProtobufFormat
from eventbus.event import headers_of
from tests.unit.chains.catalogs import catalog_of, event, field, state, two_steps
from tests.unit.chains.catalogs import chain as chain_of
from tests.unit.chains.expected import decoded, expected
from tests.unit.chains.protofile import message_classes
from tests.unit.chains.typed import typed_catalogs

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def envelope_of(found: Any) -> dict[str, Any]:
    """The fields before the payload."""
    values = {name: getattr(found, name) for name in ENVELOPE}
    since = timedelta(seconds=found.timestamp.seconds, microseconds=found.timestamp.nanos / 1000)
    return {
        **values,
        "timestamp": EPOCH + since,
        "causation_id": found.causation_id if found.HasField("causation_id") else None,
    }


def read(message: Message, found: Any) -> dict[str, Any]:
    """What was read, in the form of `expected`."""
    branch = message.branch(found.event_type)
    one = message.payloads[branch or 0]
    payload = found.payload if branch is None else getattr(found, one.field)
    if branch is not None:
        assert found.WhichOneof("payload") == one.field
    return {**envelope_of(found), "payload": decoded(one.shape, _plain(one.shape, payload))}


def _plain(shape: Shape, value: Any) -> Any:
    match shape:
        case Scalar():
            return value
        case Array(item):
            return [_plain(item, one) for one in value]
        case Struct(members):
            return {member.symbol: _member(member, value) for member in members}


def _member(member: StructField, value: Any) -> Any:
    if member.optional and not isinstance(member.shape, Array) and not value.HasField(member.symbol):
        return None
    return _plain(member.shape, getattr(value, member.symbol))


def without_nulls(shape: Shape, value: Any) -> Any:
    """The same with an empty list for null, which lists cannot be."""
    match shape:
        case Array(item):
            return [without_nulls(item, one) for one in value or ()]
        case Struct(members) if value is not None:
            return {member.symbol: without_nulls(member.shape, value[member.symbol]) for member in members}
    return value


def wanted(one: Message, line: bytes) -> dict[str, Any]:
    values = expected(one, line)
    shape = one.payloads[one.branch(values["event_type"]) or 0].shape
    return {**values, "payload": without_nulls(shape, values["payload"])}


def split(text: bytes) -> list[bytes]:
    """Messages with their sizes before them."""
    found, at = [], 0
    while at < len(text):
        size, begin = _DecodeVarint32(text, at)
        at = begin + size
        found.append(text[begin:at])
    return found


def check_file(generator: ChainGenerator, chains: int) -> set[str]:
    """Compares a file with the JSON events; returns the types that were there."""
    every = message(generator.catalog, list(generator.catalog.events))
    parse = message_classes(protobuf_schema(every))["Event" if len(every.payloads) > 1 else every.name].FromString
    format = ProtobufFormat(dict.fromkeys(generator.catalog.events, every))
    text = b"".join(bytes(block.buffer) for block in generator.blocks(chains=chains, format=format))
    found = list(map(parse, split(text)))
    lines = chain.from_iterable(generator.lines(chains=chains))
    assert [read(every, one) for one in found] == [wanted(every, line) for line in lines]
    return {one.event_type for one in found}


def test_a_file_of_the_shipped_catalog() -> None:
    """Every event of the shipped catalog, all its types, is read as what the JSON event says."""
    catalog = Catalog.default()
    catalog = catalog.with_weights(dict.fromkeys(catalog.chains, 1))
    assert check_file(ChainGenerator(catalog, seed=7), 3000) == set(catalog.events)


@given(typed_catalogs())
@settings(max_examples=100)
def test_a_file_of_any_catalog(catalog: Catalog) -> None:
    """The same for payloads of every type, source and nesting, and names that no schema language allows."""
    check_file(ChainGenerator(catalog, seed=3, tenant_id="Größe"), 30)


@given(typed_catalogs())
@settings(max_examples=50)
def test_records_of_any_catalog(catalog: Catalog) -> None:
    """Records have the magic byte, the schema's number and the message's index before it, and the event's headers."""
    messages = {name: message(catalog, [name]) for name in catalog.events}
    ids = {name: 300 + number for number, name in enumerate(messages)}
    classes = {ids[n]: message_classes(protobuf_schema(one))[one.name] for n, one in messages.items()}
    generator = ChainGenerator(catalog, seed=3)
    format = ProtobufFormat(messages, WireFormat("application/protobuf", ids, b"\0"))
    plain = list(chain.from_iterable(generator.records(chains=20)))
    assert len(plain) >= 20
    for record, json in zip(chain.from_iterable(generator.records(chains=20, format=format)), plain, strict=True):
        assert (record.key, record.topic, record.timestamp) == (json.key, json.topic, json.timestamp)
        assert record.value is not None
        assert json.value is not None
        assert (record.value[0], record.value[5]) == (0, 0)
        found = classes[int.from_bytes(record.value[1:5], "big")].FromString(record.value[6:])
        one = messages[found.event_type]
        assert read(one, found) == wanted(one, json.value)
        assert list(record.headers or ()) == [("content-type", b"application/protobuf"), *headers_of(json.value)[1:]]


def test_large_messages() -> None:
    """A message of 16 KiB and more has a longer size before it, and so have the small ones of its type."""
    texts = ("x", "y" * 40_000)
    states = (state("asked"),)
    catalog = catalog_of(chain_of("talk", *states), events=(event("asked", field("text", choices=texts)),))
    check_file(ChainGenerator(catalog, seed=3), 20)


def test_times_before_1978_and_several_tenants() -> None:
    """Early times need fewer digits than there is room for; each event names the tenant of its chain."""
    check_file(ChainGenerator(seed=7, start=datetime(1970, 1, 1, tzinfo=UTC), tenants=Tenants(count=12)), 20)


def test_any_number_of_workers_writes_the_same_file() -> None:
    """A file is the same, byte for byte, whoever wrote its blocks."""
    generator = ChainGenerator(seed=7)
    every = message(generator.catalog, list(generator.catalog.events))
    format = ProtobufFormat(dict.fromkeys(generator.catalog.events, every))

    def text(workers: int) -> bytes:
        file = BytesIO()
        for block in generator.blocks(chains=4000, format=format, workers=workers):
            file.write(block.buffer)
        return file.getvalue()

    alone = text(1)
    assert len(alone) > 1_000_000
    assert text(2) == alone


def test_numbers_of_either_sign() -> None:
    """Whole numbers and others, from tables and encoded one by one, small and as large as JSON can have them."""
    wide = [field(f"n{top}", type="integer", minimum=-top, maximum=top) for top in (1, 100, 10**6, 2**53)]
    real = [field(f"r{top}", type="number", minimum=-top, maximum=top, decimals=2) for top in (1, 10**6)]
    check_file(ChainGenerator(two_steps(*wide, *real), seed=3), 200)
