"""Avro and Protocol Buffers in Confluent's wire format: subjects, their schemas, and the format with the schema ids."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal, NamedTuple, Protocol, get_args

import orjson

from eventbus.bus import TopicStrategy, topic_namer
from eventbus.catalog import Catalog
from eventbus.catalog.export.typed import Message, message
from eventbus.catalog.export.typed_text import avro_schema, protobuf_schema
from eventbus.chains.rendering.avro import AvroFormat
from eventbus.chains.rendering.fixed import Format, WireFormat
from eventbus.chains.rendering.protobuf import FIRST, ProtobufFormat

SubjectStrategy = Literal["topic", "record", "topic-record"]
"""Confluent's TopicNameStrategy, RecordNameStrategy and TopicRecordNameStrategy."""
STRATEGIES: tuple[SubjectStrategy, ...] = get_args(SubjectStrategy)

SchemaForm = Literal["avro", "protobuf"]


class Register(Protocol):
    """Makes a schema known, and returns its number."""

    def __call__(self, subject: str, schema: str, kind: Literal["AVRO", "PROTOBUF"]) -> int: ...


class Subject(NamedTuple):
    """What a registry keeps a schema under."""

    name: str
    message: Message
    event_types: tuple[str, ...]
    """Those that are written with it here."""


def registered(
    form: SchemaForm,
    catalog: Catalog,
    register: Register,
    *,
    topic_strategy: TopicStrategy = "domain",
    subjects: SubjectStrategy = "topic",
) -> Format:
    """A format in Confluent's wire format, its schemas registered.

    Args:
        register: such as that of `eventbus.kafka.SchemaRegistry`.
        topic_strategy: how an event type finds its topic.
        subjects: `topic`: one schema for each topic, whose payload is one of its event types'; else one for each
            event type, under its own name, or that of its topic and its own.
    """
    ids: dict[str, int] = {}
    messages: dict[str, Message] = {}
    for subject in subjects_of(catalog, topic_strategy, subjects):
        if form == "avro":
            number = register(subject.name, orjson.dumps(avro_schema(subject.message)).decode(), "AVRO")
        else:
            number = register(subject.name, protobuf_schema(subject.message), "PROTOBUF")
        ids |= dict.fromkeys(subject.event_types, number)
        messages |= dict.fromkeys(subject.event_types, subject.message)
    if form == "avro":
        return AvroFormat(messages, WireFormat("application/avro", ids))
    return ProtobufFormat(messages, WireFormat("application/protobuf", ids, FIRST))


def subjects_of(catalog: Catalog, topic_strategy: TopicStrategy, strategy: SubjectStrategy) -> Iterator[Subject]:
    """The subjects that the chains of a catalog need.

    A topic's schema is for all its event types, whichever chains are switched on: it stays the same.
    """
    topic_of = topic_namer(topic_strategy)
    emitted = _emitted(catalog)
    if strategy == "topic":
        for topic in dict.fromkeys(map(topic_of, emitted)):
            types = tuple(name for name in catalog.events if topic_of(name) == topic)
            yield Subject(f"{topic}-value", message(catalog, types), types)
        return
    for name in emitted:
        schema = message(catalog, [name])
        prefix = f"{topic_of(name)}-" if strategy == "topic-record" else ""
        yield Subject(f"{prefix}{schema.full_name}", schema, (name,))


def _emitted(catalog: Catalog) -> Collection[str]:
    return dict.fromkeys(state.emits for chain in catalog.active for state in chain.states.values())
