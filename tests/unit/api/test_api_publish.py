"""Events published over HTTP: each gets a verdict, and the accepted ones are on the bus."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson
import pytest
from httpx import AsyncClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventbus.api.models import IngestRefused, IngestResult
from eventbus.bus import SINGLE_TOPIC
from eventbus.catalog import Catalog
from eventbus.catalog.export.asyncapi import example_payload
from eventbus.event import Event
from eventbus.inprocess import InProcessBus

EVENTS = "/api/event-bus/events"
UNKNOWN = "omninode.test.thing.happened.v1"
KNOWN = "omninode.intelligence.query.requested.v1"
QUERY = example_payload(Catalog.default().event_type(KNOWN))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


async def on_bus(bus: InProcessBus, count: int, topic: str = SINGLE_TOPIC) -> list[Event]:
    async with asyncio.timeout(5), bus.subscribe(topic) as subscription:
        return [(await anext(subscription)).event for _ in range(count)]


async def test_a_complete_event_is_published_as_it_is(client: AsyncClient, bus: InProcessBus) -> None:
    """A complete event is published unchanged."""
    event = Event.new(UNKNOWN, {"a": 1}, tenant_id="t", source="s")
    answer = await client.post(EVENTS, content=event.to_bytes())
    assert answer.status_code == 202
    IngestResult.model_validate_json(answer.content)
    assert await on_bus(bus, 1) == [event]


async def test_a_short_event_is_completed(client: AsyncClient, bus: InProcessBus) -> None:
    """Type and payload suffice; the catalog and defaults fill in the rest."""
    answer = await client.post(EVENTS, json={"event_type": KNOWN, "payload": QUERY})
    (result,) = answer.json()["results"]
    (event,) = await on_bus(bus, 1, "omninode.intelligence")
    assert (event.event_type, event.payload, event.causation_id) == (KNOWN, QUERY, None)
    assert event.event_id == event.correlation_id == result["event_id"] == result["correlation_id"]
    assert event.source == Catalog.default().event_type(KNOWN).source
    assert "note" not in result


async def test_a_visitor_event_has_a_short_name(client: AsyncClient, bus: InProcessBus) -> None:
    """`page_visit` is published as the event type it stands for."""
    full = "omninode.visitor.page.visited.v1"
    payload = example_payload(Catalog.default().event_type(full))
    await client.post(EVENTS, json={"event_type": "page_visit", "payload": payload})
    (event,) = await on_bus(bus, 1, "omninode.visitor")
    assert event.event_type == full


async def test_an_event_can_join_a_chain(client: AsyncClient, bus: InProcessBus) -> None:
    """Given fields are kept, the others are filled in."""
    root = Event.new(UNKNOWN, {})
    given = {"correlation_id": root.correlation_id, "causation_id": root.event_id}
    await client.post(EVENTS, json={"event_type": UNKNOWN, "payload": {}, **given})
    (event,) = await on_bus(bus, 1)
    assert (event.correlation_id, event.causation_id) == (root.correlation_id, root.event_id)
    assert event.event_id != root.event_id


async def test_a_type_that_the_catalog_does_not_know_is_accepted_with_a_note(
    client: AsyncClient, bus: InProcessBus
) -> None:
    """A type that the catalog does not have is accepted; one of an unknown domain goes to the common topic."""
    items = [{"event_type": name, "payload": {}} for name in ("omninode.agent.thing.happened.v1", UNKNOWN)]
    results = (await client.post(EVENTS, json=items)).json()["results"]
    assert [result["verdict"] for result in results] == ["accepted"] * 2
    assert {result["note"] for result in results} == {"this type is not in the catalog: its payload was not checked"}
    assert [event.event_type for event in await on_bus(bus, 1, "omninode.agent")] == [items[0]["event_type"]]
    assert [event.event_type for event in await on_bus(bus, 1)] == [UNKNOWN]


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson; charset=utf-8"])
async def test_each_item_of_many_gets_its_own_verdict(
    client: AsyncClient, bus: InProcessBus, content_type: str
) -> None:
    """Valid items are published in order; invalid ones have details."""
    items: list[Any] = [
        {"event_type": UNKNOWN, "payload": {"n": 0}},
        {"event_type": "nonsense", "payload": {}},
        {"event_type": KNOWN, "payload": {**QUERY, "query": 7}},
        {"event_type": UNKNOWN, "payload": {"n": 3}},
        "an event",
    ]
    lines = content_type.startswith("application/x-ndjson")
    body = b"\n\n".join(map(orjson.dumps, items)) if lines else orjson.dumps(items)
    answer = await client.post(EVENTS, content=body, headers={"content-type": content_type})
    assert answer.status_code == 202
    content = IngestResult.model_validate_json(answer.content)
    assert [result.verdict for result in content.results] == ["accepted", "invalid", "invalid", "accepted", "invalid"]
    assert (content.accepted, content.invalid) == (2, 3)
    assert [detail.field for result in content.results for detail in result.details] == [
        "event_type",
        "payload.query",
        "event",
    ]
    assert [event.payload["n"] for event in await on_bus(bus, 2)] == [0, 3]


async def test_when_no_item_is_accepted_the_request_is_bad(client: AsyncClient) -> None:
    """400, with verdicts, and fields prefixed by the item's index."""
    answer = await client.post(EVENTS, json=[{"payload": {}}, {"event_type": UNKNOWN}])
    assert answer.status_code == 400
    refused = IngestRefused.model_validate_json(answer.content)
    assert [detail.field for detail in refused.details] == ["[0].event_type", "[1].payload"]
    assert [result.verdict for result in refused.results] == ["invalid", "invalid"]


@pytest.mark.parametrize("body", [b"", b"nope", b"{", b"[]", b"\xff", b"[" * 2000])
async def test_a_body_that_is_no_json_or_empty_is_refused(client: AsyncClient, body: bytes) -> None:
    """400, as an error response."""
    answer = await client.post(EVENTS, content=body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "details"}


async def test_lines_say_which_of_them_is_broken(client: AsyncClient) -> None:
    """Lines are counted from 1, including empty ones."""
    answer = await client.post(EVENTS, content=b'{"a":1}\n\n{', headers={"content-type": "application/x-ndjson"})
    assert answer.json()["error"] == "the line 3 is not JSON"


async def test_a_body_over_the_limit_is_refused(client: AsyncClient, bus: InProcessBus) -> None:
    """413, and nothing is published."""
    body = orjson.dumps([{"event_type": UNKNOWN, "payload": {"filler": "x" * 10_000}}])
    answer = await client.post(EVENTS, content=body)
    assert answer.status_code == 413
    assert answer.json()["error"] == "expected a body of at most 10,000 bytes"


async def test_a_payload_too_deep_to_be_written_again_is_invalid(client: AsyncClient) -> None:
    """It is an invalid item, not a failure of the server."""
    payload = b'{"a":' * 300 + b"1" + b"}" * 300
    answer = await client.post(EVENTS, content=b'{"event_type":"%b","payload":%b}' % (UNKNOWN.encode(), payload))
    assert answer.status_code == 400
    assert answer.json()["details"][0]["field"] == "payload"


async def test_a_closed_bus_is_unavailable(client: AsyncClient, bus: InProcessBus) -> None:
    """503, which does not exclude that some events were published."""
    await bus.close()
    answer = await client.post(EVENTS, json={"event_type": UNKNOWN, "payload": {}})
    assert answer.status_code == 503
    assert answer.json()["error"].startswith("the bus failed: ")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(json_values, st.fixed_dictionaries({"event_type": st.just(KNOWN), "payload": json_values})))
async def test_no_body_makes_the_server_fail(client: AsyncClient, content: Any) -> None:
    """Any JSON gives verdicts or an error response."""
    answer = await client.post(EVENTS, content=json.dumps(content))
    assert answer.status_code in (202, 400)
    assert set(answer.json()) <= {"error", "details", "results", "accepted", "invalid"}
