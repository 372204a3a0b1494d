"""Layouts whose schemas are registered: which subjects there are, and what is written with which schema."""

from __future__ import annotations

from io import BytesIO
from typing import Any, get_args

import fastavro
import orjson
import pytest

from eventbus.bus import TopicStrategy
from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.chains.rendering.registry import STRATEGIES, SchemaForm, SubjectStrategy, registered

FORMS: tuple[SchemaForm, ...] = get_args(SchemaForm)


class Registry:
    """Numbers schemas in the order in which they come."""

    def __init__(self) -> None:
        self.subjects: dict[str, tuple[int, str, str]] = {}

    def register(self, subject: str, schema: str, kind: str) -> int:
        number = 1000 + len(self.subjects)
        self.subjects[subject] = (number, schema, kind)
        return number


@pytest.mark.parametrize(
    ("strategy", "topic_strategy", "expected"),
    [
        ("topic", "domain", {"omninode.agent-value"}),
        ("topic", "single", {"omninode.events-value"}),
        (
            "topic",
            "event_type",
            {"omninode.agent.execution.failed.v1-value", "omninode.agent.routing.requested.v1-value"},
        ),
        ("record", "domain", {"omninode.agent.ExecutionFailedV1", "omninode.agent.RoutingRequestedV1"}),
        ("topic-record", "single", {"omninode.events-omninode.agent.ExecutionFailedV1"}),
    ],
)
def test_subjects(strategy: SubjectStrategy, topic_strategy: TopicStrategy, expected: set[str]) -> None:
    """They are called as Confluent's strategies of the same names call them."""
    registry = Registry()
    catalog = Catalog.default().only("agent-execution")
    registered("avro", catalog, registry.register, topic_strategy=topic_strategy, subjects=strategy)
    assert registry.subjects.keys() >= expected
    assert len(registry.subjects) == (1 if strategy == "topic" and topic_strategy != "event_type" else 5)


def test_the_schema_of_a_topic_stays_the_same() -> None:
    """It has all event types of the topic, whichever chains are switched on."""
    one, every = Registry(), Registry()
    registered("avro", Catalog.default().only("agent-execution"), one.register)
    registered("avro", Catalog.default(), every.register)
    assert one.subjects["omninode.agent-value"][1] == every.subjects["omninode.agent-value"][1]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("form", FORMS)
def test_chains_that_others_cause_have_schemas_too(form: SchemaForm, strategy: SubjectStrategy) -> None:
    """A chain that is switched off, but caused by one that is not, is written like any other."""
    catalog = Catalog.default().only("visitor-session")
    registry = Registry()
    generator = ChainGenerator(catalog, seed=7)
    format = registered(form, catalog, registry.register, subjects=strategy)
    records = [record for some in generator.records(chains=300, format=format) for record in some]
    assert len({record.topic for record in records}) > 1
    numbers = {number for number, _, _ in registry.subjects.values()}
    assert {int.from_bytes((record.value or b"")[1:5], "big") for record in records} <= numbers
    assert {kind for _, _, kind in registry.subjects.values()} == {form.upper()}


def test_records_are_of_the_schema_whose_number_they_have() -> None:
    """The number before a record leads to the schema that it was written with."""
    registry = Registry()
    generator = ChainGenerator(seed=7)
    format = registered("avro", generator.catalog, registry.register)
    schemas = {number: fastavro.parse_schema(orjson.loads(schema)) for number, schema, _ in registry.subjects.values()}
    records = [record for some in generator.records(chains=100, format=format) for record in some]
    assert len(records) >= 200
    for record in records:
        value = record.value or b""
        found: Any = fastavro.schemaless_reader(BytesIO(value[5:]), schemas[int.from_bytes(value[1:5], "big")], None)
        assert found["event_id"].encode() in value
        assert registry.subjects[f"{record.topic}-value"][0] == int.from_bytes(value[1:5], "big")
