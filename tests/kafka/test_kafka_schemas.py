"""Streams with schemas, end to end: a real Kafka, a real schema registry, and the deserialisers of Confluent."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from eventbus import KafkaBus
from eventbus.catalog import Catalog
from eventbus.catalog.export.typed import Message, message
from eventbus.event import Event, headers_of
from eventbus.record import ConsumerRecord
from tests.kafka.server import KafkaServer
from tests.kafka.test_kafka_delivery import end_offsets
from tests.unit.chains.expected import decoded, expected
from tests.unit.chains.protofile import message_classes
from tests.unit.chains.test_chains_protobuf import read as read_protobuf
from tests.unit.chains.test_chains_protobuf import wanted as wanted_protobuf

CATALOG = """
domain: DOMAIN
source: shop
lists:
  item:
    - {name: Größe 7, tags: [new, red], size: {width: 1, height: 2.5}}
    - {name: plain, tags: [], size: {width: 3}}
events:
  DOMAIN.order.placed.v1:
    description: Somebody wants something.
    payload:
      item: {type: string, var: item.name}
      tags: {type: array, var: item.tags}
      size: {type: object, var: item.size}
      note: {type: string, required: false, choices: [now, later]}
      number: {type: integer, min: -100000000, max: 100000000}
      price: {type: number, min: 0, max: 1000, decimals: 2}
  DOMAIN.order.paid.v1:
    payload:
      paid: {type: boolean, value: true}
      by:
        fields:
          duration-ms: {type: integer, elapsed: true}
          method: {type: string, choices: [card, cash]}
chains:
  order:
    weight: 1
    variables: {item: {list: item}}
    start: placed
    states:
      placed:
        emits: DOMAIN.order.placed.v1
        next: [{to: paid, weight: 100, delay: {uniform: [10, 2000]}}]
      paid: {emits: DOMAIN.order.paid.v1, outcome: completed}
"""


class Shop:
    """A catalog with a domain of its own, and so a topic and subjects."""

    def __init__(self, folder: Path, domain: str) -> None:
        self.topic = f"{domain}.shop"
        self.path = folder / "shop.yaml"
        self.path.write_text(CATALOG.replace("DOMAIN", self.topic))
        self.catalog = Catalog.load(self.path)
        self.types = [name for name in self.catalog.events if name.startswith(self.topic)]

    async def stream(self, *arguments: str) -> bytes:
        """What `eventbus stream` prints, for a run that is always the same."""
        run = ("--rate", "100", "--speed", "max", "--duration", "2s", "--start", "2026-01-01", "--seed", "7")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "eventbus", "stream", "--catalog", str(self.path), "--chain", "order"),
            *(*run, *arguments),
            stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out

    async def lines(self) -> dict[str, bytes]:
        """The run's JSON events by id."""
        lines = (await self.stream("--to", "stdout")).splitlines()
        return {Event.from_bytes(line).event_id: line for line in lines}


@pytest.fixture
def client(schema_registry: str) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": schema_registry}) as client:
        yield client


@pytest.fixture
def shop(tmp_path: Path, kafka_topic: str) -> Shop:
    return Shop(tmp_path, kafka_topic)


async def records(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """Everything that is in a topic."""
    count = await end_offsets(bootstrap, topic)
    async with (
        KafkaBus(bootstrap) as bus,
        bus.subscribe(topic, auto_offset_reset="earliest") as arrived,
        asyncio.timeout(60),
    ):
        return [await anext(arrived) for _ in range(count)]


def messages(shop: Shop, strategy: str) -> dict[str, Message]:
    """Which message each event type is written as."""
    if strategy == "topic":
        return dict.fromkeys(shop.types, message(shop.catalog, shop.types))
    return {name: message(shop.catalog, [name]) for name in shop.types}


def subjects(shop: Shop, strategy: str) -> set[str]:
    names = {one.full_name for one in messages(shop, strategy).values()}
    prefix = f"{shop.topic}-"
    return {"topic": {f"{prefix}value"}, "record": names, "topic-record": {prefix + name for name in names}}[strategy]


def check_transport(record: ConsumerRecord, line: bytes, content_type: bytes) -> None:
    """The record's key and headers are those of the JSON event, but for the content type."""
    assert record.key == Event.from_bytes(line).key
    assert list(record.headers) == [("content-type", content_type), *headers_of(line)[1:]]


@pytest.mark.kafka
@pytest.mark.parametrize("strategy", ["topic", "record", "topic-record"])
async def test_avro_is_read_by_confluents_deserialiser(
    kafka_server: KafkaServer, schema_registry: str, client: SchemaRegistryClient, shop: Shop, strategy: str
) -> None:
    """Every event arrives with the values of the JSON event, and schemas are under the subjects of the strategy."""
    await shop.stream(
        "--bootstrap-servers", kafka_server.bootstrap, "--format", "avro", "--schema-registry", schema_registry,
        "--subject-strategy", strategy,
    )  # fmt: skip
    assert {name for name in client.get_subjects() if shop.topic in name} >= subjects(shop, strategy)
    deserialise, context = AvroDeserializer(client), SerializationContext(shop.topic, MessageField.VALUE)
    lines, read = await shop.lines(), messages(shop, strategy)
    arrived = await records(kafka_server.bootstrap, shop.topic)
    assert len(arrived) == len(lines) > 100
    for record in arrived:
        found: Any = deserialise(record.value, context)
        line, one = lines[found["event_id"]], read[found["event_type"]]
        shape = one.payloads[one.branch(found["event_type"]) or 0].shape
        assert {**found, "payload": decoded(shape, found["payload"])} == expected(one, line)
        check_transport(record, line, b"application/avro")


@pytest.mark.kafka
@pytest.mark.parametrize("strategy", ["topic", "record", "topic-record"])
async def test_protobuf_is_read_by_confluents_deserialiser(
    kafka_server: KafkaServer, schema_registry: str, client: SchemaRegistryClient, shop: Shop, strategy: str
) -> None:
    """The same for Protocol Buffers; the classes are those of the schemas that the registry has."""
    await shop.stream(
        "--bootstrap-servers", kafka_server.bootstrap, "--format", "protobuf", "--schema-registry", schema_registry,
        "--subject-strategy", strategy,
    )  # fmt: skip
    context = SerializationContext(shop.topic, MessageField.VALUE)
    lines, written = await shop.lines(), messages(shop, strategy)
    arrived = await records(kafka_server.bootstrap, shop.topic)
    assert len(arrived) == len(lines) > 100
    for record in arrived:
        one = written[dict(record.headers)["event_type"].decode()]
        schema = client.get_schema(int.from_bytes((record.value or b"")[1:5], "big"))
        made = message_classes(schema.schema_str or "")[one.name]
        # without the client, which would ask the registry for a form that Confluent's alone has
        found: Any = ProtobufDeserializer(made, {"use.deprecated.format": False})(record.value, context)
        line = lines[found.event_id]
        assert read_protobuf(one, found) == wanted_protobuf(one, line)
        check_transport(record, line, b"application/protobuf")


@pytest.mark.kafka
async def test_what_the_registry_refuses(schema_registry: str, client: SchemaRegistryClient, shop: Shop) -> None:
    """A schema that is not compatible with the subject's ends the command with one clear line, before any event."""
    await shop.stream("--to", "bus", "--format", "avro", "--schema-registry", schema_registry)
    subject = f"{shop.topic}-value"
    client.set_compatibility(subject_name=subject, level="BACKWARD")
    shop.path.write_text(
        shop.path.read_text().replace("paid: {type: boolean, value: true}", "paid: {type: integer, value: 1}")
    )
    with pytest.raises(
        AssertionError, match=f"the subject {subject} has a schema that this catalog's is not compatible"
    ):
        await shop.stream("--to", "bus", "--format", "avro", "--schema-registry", schema_registry)
