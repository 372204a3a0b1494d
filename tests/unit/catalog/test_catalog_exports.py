"""What the exported documents say about topics, chains and payloads."""

from __future__ import annotations

import re
from typing import Any

from eventbus import Event
from eventbus.bus import topic_namer
from eventbus.catalog import Catalog, EventType, PayloadField
from eventbus.catalog.export.asyncapi import asyncapi, example_event, example_headers, example_payload
from eventbus.catalog.export.jsonschema import catalog_schema, event_schema, payload_schema
from eventbus.catalog.sources import Choices, ElapsedTime, FixedValue, ListPick, NumberRange, VariableValue

SHIPPED = Catalog.default()
STARTED = "omninode.agent.execution.started.v1"


def test_one_channel_for_each_topic() -> None:
    """By default every domain has a topic with its partitions; other strategies give other channels."""
    channels = asyncapi(SHIPPED)["channels"]
    assert {name: c["bindings"]["kafka"]["partitions"] for name, c in channels.items()} == SHIPPED.partitions
    assert set(asyncapi(SHIPPED, topic_of=topic_namer("event_type"))["channels"]) == set(SHIPPED.events)
    single = asyncapi(SHIPPED, topic_of=topic_namer("single"))["channels"]
    assert list(single) == ["omninode.events"]
    assert len(single["omninode.events"]["messages"]) == len(SHIPPED.events)


def test_the_default_topic_is_that_of_the_bus() -> None:
    """The document and the bus name a type's topic alike."""
    by_domain = asyncapi(SHIPPED, topic_of=topic_namer("domain"))
    assert by_domain == asyncapi(SHIPPED)


def test_an_operation_says_where_its_event_stands() -> None:
    """`x-chain` has chain, state, and the ways on with probability and delay."""
    [place] = asyncapi(SHIPPED)["operations"][f"send.{STARTED}"]["x-chain"]
    assert (place["chain"], place["state"]) == ("agent-execution", "started")
    assert [(way["event"], way["probability"], way["delay_ms"]) for way in place["next"]] == [
        ("omninode.agent.execution.completed.v1", 0.9, {"uniform": [500, 1500]}),
        ("omninode.agent.execution.failed.v1", 0.1, {"uniform": [500, 1500]}),
    ]


def test_whole_chains_are_an_extension() -> None:
    """`x-chains` has every chain with weight, start, and outcomes."""
    chains = asyncapi(SHIPPED)["x-chains"]
    assert {name: chain["weight"] for name, chain in chains.items()} == {n: c.weight for n, c in SHIPPED.chains.items()}
    assert chains["agent-execution"]["states"]["failed"]["outcome"] == "failed"
    delay = chains["pattern-discovery"]["states"]["started"]["next"][0]["delay_ms"]
    assert delay == {"lognormal": {"median": 400, "p95": 2000, "min": 20, "max": 20000}}


def test_the_server_is_the_one_asked_for() -> None:
    """The broker's address goes into the document."""
    assert asyncapi(SHIPPED, server="kafka:9093")["servers"]["kafka"]["host"] == "kafka:9093"


def test_examples_are_events() -> None:
    """Every example is an event that the event's own parser takes, with the headers the bus would give it."""
    assert len(SHIPPED.events) > 20
    for event in SHIPPED.events.values():
        for root in (True, False):
            parsed = Event.from_dict(example_event(event, root=root))
            assert parsed.correlation_id == (parsed.event_id if root else parsed.causation_id)
            headers = {name: value.decode() for name, value in parsed.headers}
            assert example_headers(event, root=root) == headers


def test_examples_of_a_chain_fit_together() -> None:
    """The first of each list stands in all of them: what is asked in one is answered in the other."""
    asked = example_payload(SHIPPED.event_type("omninode.intelligence.query.requested.v1"))
    answered = example_payload(SHIPPED.event_type("omninode.intelligence.query.completed.v1"))
    assert asked["query"] == answered["query"] == "optimize database"


def test_every_source_of_a_value_has_its_schema() -> None:
    """Constants, choices, bounds, elapsed times, lists and objects become the words JSON Schema has for them."""
    fields = (
        PayloadField(name="constant", type="string", source=FixedValue("x")),
        PayloadField(name="choice", type="integer", source=Choices((2, 2, 1)), description="One of two"),
        PayloadField(name="range", type="number", source=NumberRange(0, 1, 2)),
        PayloadField(name="elapsed", type="integer", source=ElapsedTime()),
        PayloadField(name="drawn", type="string", source=ListPick("names"), allowed=("a", "a", "b", "c")),
        PayloadField(name="told", type="string", source=ListPick("names"), examples=("z",), allowed=("a",)),
        PayloadField(
            name="inner", type="object", fields=(PayloadField(name="flag", type="boolean", source=FixedValue(True)),)
        ),
    )
    schema = payload_schema(EventType(name="a.b.c.v1", source="s", payload=fields))
    assert schema["properties"] == {
        "constant": {"type": "string", "const": "x"},
        "choice": {"type": "integer", "enum": [2, 1], "description": "One of two"},
        "range": {"type": "number", "minimum": 0, "maximum": 1},
        "elapsed": {"type": "integer", "minimum": 0},
        "drawn": {"type": "string", "examples": ["a", "b"]},
        "told": {"type": "string", "examples": ["z"]},
        "inner": _object({"flag": {"type": "boolean", "const": True}}),
    }
    assert schema["required"] == [one.name for one in fields]


def test_an_event_schema_has_the_fields_of_an_event() -> None:
    """The ten fields, in their order, all required, and no other."""
    schema = event_schema(SHIPPED.event_type(STARTED))
    example = example_event(SHIPPED.event_type(STARTED), root=False)
    assert list(schema["properties"]) == schema["required"] == list(example)
    assert schema["additionalProperties"] is False


def test_an_event_type_that_no_chain_emits_still_has_an_example() -> None:
    """Its variables have no values; the example takes a value of the type."""
    one = PayloadField(name="n", type="string", source=VariableValue("gone.name"))
    assert example_payload(EventType(name="a.b.c.v1", source="s", payload=(one,))) == {"n": "text"}


def test_references_lead_somewhere() -> None:
    """Every `$ref` of both documents points into its document."""
    for document in (asyncapi(SHIPPED), catalog_schema(SHIPPED)):
        references = re.findall(r"'\$ref': '#/([^']*)'", str(document))
        assert len(references) >= len(SHIPPED.events)
        for reference in references:
            at: Any = document
            for step in reference.split("/"):
                at = at[step]


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
