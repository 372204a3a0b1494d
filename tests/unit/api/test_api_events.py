"""Stored events over HTTP."""

from __future__ import annotations

import pytest
from httpx import AsyncClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventbus.api.models import EventList, StoredEvent
from eventbus.event import Event
from tests.api.memory_store import MemoryStore
from tests.unit.api.conftest import make_chain

EVENTS = "/api/event-bus/events"


async def test_events_come_newest_first(client: AsyncClient, store: MemoryStore, chain: list[Event]) -> None:
    """The response is an `EventList` of the events in their JSON form."""
    store.add(chain)
    answer = await client.get(EVENTS)
    assert answer.status_code == 200
    EventList.model_validate_json(answer.content)
    assert answer.json() == {"events": [event.to_dict() for event in reversed(chain)], "next_cursor": None}


async def test_pages_follow_their_cursors(client: AsyncClient, store: MemoryStore, chain: list[Event]) -> None:
    """Following `next_cursor` gives each event once."""
    store.add(chain)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while len(seen) < 10:
        page = (await client.get(EVENTS, params={"limit": 1, **cursor})).json()
        seen += [event["event_id"] for event in page["events"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [event.event_id for event in reversed(chain)]


@pytest.mark.parametrize("field", ["correlation_id", "event_type", "tenant_id", "namespace", "source"])
async def test_each_filter_reaches_the_store(client: AsyncClient, store: MemoryStore, field: str) -> None:
    """A filter selects the events with an equal field."""
    one, other = Event.new("omninode.a.b.v1", {}, tenant_id="t1", namespace="n1", source="s1"), Event.new("x.y.v1", {})
    store.add([one, other])
    page = (await client.get(EVENTS, params={field: getattr(one, field)})).json()
    assert page["events"] == [one.to_dict()]


async def test_times_may_be_relative(client: AsyncClient, store: MemoryStore, chain: list[Event]) -> None:
    """Durations before now are relative to the clock of the application."""
    store.add(chain)  # at 11:00:00, :01 and :02; it is 12:00
    page = (await client.get(EVENTS, params={"since": "3599s", "until": "2026-01-01T11:00:02Z"})).json()
    assert page["events"] == [chain[1].to_dict()]


async def test_an_id_is_found_in_any_case(client: AsyncClient, store: MemoryStore, chain: list[Event]) -> None:
    """UUIDs are case-insensitive."""
    store.add(chain)
    page = (await client.get(EVENTS, params={"correlation_id": chain[0].correlation_id.upper()})).json()
    assert len(page["events"]) == 3


async def test_an_unknown_chain_is_told_from_one_without_a_match(
    client: AsyncClient, store: MemoryStore, chain: list[Event]
) -> None:
    """An unknown correlation id is 404; a filter without matches gives an empty list."""
    store.add(chain)
    known = {"correlation_id": chain[0].correlation_id, "tenant_id": "nobody"}
    empty = await client.get(EVENTS, params=known)
    assert (empty.status_code, empty.json()["events"]) == (200, [])
    unknown = "0199a0b0-0000-7000-8000-00000000000a"
    answer = await client.get(EVENTS, params={"correlation_id": unknown})
    assert answer.status_code == 404
    assert unknown in answer.json()["error"]


async def test_one_event_by_its_id(client: AsyncClient, store: MemoryStore, chain: list[Event]) -> None:
    """The response is the event as it was stored."""
    store.add(chain)
    answer = await client.get(f"{EVENTS}/{chain[1].event_id}")
    StoredEvent.model_validate_json(answer.content)
    assert answer.json() == chain[1].to_dict()


async def test_an_unknown_event_is_not_found(client: AsyncClient) -> None:
    """404, as an error response with the id."""
    event_id = make_chain("execution.started")[0].event_id
    answer = await client.get(f"{EVENTS}/{event_id}")
    assert answer.status_code == 404
    assert answer.json() == {"error": f"no event {event_id} is stored", "details": []}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("correlation_id", "nope", "expected a UUID such as"),
        ("limit", "0", "greater than or equal to 1, got '0'"),
        ("limit", "1001", "less than or equal to 1000, got '1001'"),
        ("limit", "many", "got 'many'"),
        ("since", "yesterday", "expected ISO 8601"),
        ("cursor", "bent", "expected a next_cursor of an earlier answer, got bent"),
        ("tenant_id", "", "at least 1 character"),
        ("tenant_id", "a\0b", "without NUL"),
        ("correlationid", "x", "unknown parameter"),
    ],
)
async def test_a_bad_parameter_is_named(client: AsyncClient, field: str, value: str, message: str) -> None:
    """400, with the field, what was expected, and what was given."""
    answer = await client.get(EVENTS, params={field: value})
    assert answer.status_code == 400
    (detail,) = answer.json()["details"]
    assert detail["field"] == field
    assert message in detail["message"]


async def test_all_bad_parameters_are_named_at_once(client: AsyncClient) -> None:
    """All invalid parameters are reported at once."""
    answer = await client.get(EVENTS, params={"limit": "0", "since": "x", "correlation_id": "y"})
    assert {detail["field"] for detail in answer.json()["details"]} == {"limit", "since", "correlation_id"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([*EventList.model_fields, "limit", "since", "until", "cursor"]), st.text()))
async def test_no_parameters_make_the_server_fail(client: AsyncClient, parameters: dict[str, str]) -> None:
    """Any query gives a page or a 400 error response."""
    answer = await client.get(EVENTS, params=parameters)
    assert answer.status_code in (200, 400)
    assert set(answer.json()) in ({"events", "next_cursor"}, {"error", "details"})
