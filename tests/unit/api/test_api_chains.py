"""A chain over HTTP: a tree by causation, with times and an explanation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from httpx import AsyncClient
from hypothesis import given
from hypothesis import strategies as st

from eventbus.api.models import ChainDetails
from eventbus.event import Event
from eventbus.views import MAX_NESTING, ChainTreeNode, chain_dict, chain_tree, explain
from tests.api.memory_store import MemoryChain, MemoryStore
from tests.unit.api.conftest import NOW, make_chain

CHAINS = "/api/event-bus/chains"


def with_causes(causes: list[int | None]) -> list[Event]:
    """One chain in which event i was caused by event causes[i], a millisecond after the one before."""
    root = Event.new("omninode.agent.step.done.v1", {})
    ids = [Event.new("omninode.agent.step.done.v1", {}).event_id for _ in causes]
    return [
        replace(
            root,
            event_id=ids[number],
            causation_id=None if cause is None else ids[cause],
            timestamp=NOW + timedelta(milliseconds=number),
        )
        for number, cause in enumerate(causes)
    ]


def walk(nodes: list[ChainTreeNode]) -> list[ChainTreeNode]:
    return [node for root in nodes for node in (root, *walk(root.effects))]


trees = st.integers(1, 30).flatmap(
    lambda size: st.tuples(
        *(st.one_of(st.none(), st.integers(0, number - 1)) if number else st.none() for number in range(size))
    )
)


@given(st.integers(0, 10**12))
def test_times_are_exact_to_the_microsecond(microseconds: int) -> None:
    """A gap is the difference of the timestamps in milliseconds, without rounding noise."""
    cause, effect = with_causes([None, 0])
    late = replace(effect, timestamp=cause.timestamp + timedelta(microseconds=microseconds))
    [root] = chain_tree([cause, late])
    assert root.effects[0].gap_ms == root.effects[0].offset_ms == microseconds / 1000


@given(trees)
def test_a_tree_holds_every_event_once_below_its_cause(causes: tuple[int | None, ...]) -> None:
    """The tree has each event once; gaps and offsets are differences of the timestamps."""
    events = with_causes(list(causes))
    nodes = walk(chain_tree(events))
    assert sorted(node.event.event_id for node in nodes) == sorted(event.event_id for event in events)
    for node in nodes:
        for effect in node.effects:
            assert effect.event.causation_id == node.event.event_id
            assert effect.depth == node.depth + 1
            assert effect.gap_ms == pytest.approx(effect.offset_ms - node.offset_ms)


@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=10, max_size=10))
def test_causes_that_are_missing_or_circular_lose_no_event(causes: list[int | None]) -> None:
    """An event whose cause does not precede it is a root."""
    assert len(walk(chain_tree(with_causes(causes)))) == 10


def test_a_very_deep_chain_can_be_written_as_json() -> None:
    """Nesting is limited; each node has its true depth."""
    events = with_causes([None, *range(2999)])
    answer = orjson.loads(orjson.dumps(chain_dict(MemoryChain(events))))
    node, depths = answer["tree"][0], []
    while node["effects"]:
        depths += [effect["depth"] for effect in node["effects"]]
        node = node["effects"][0]
    assert depths == list(range(1, 3000))
    assert node["depth"] == MAX_NESTING + 1


async def test_a_chain_is_answered_with_its_tree(client: AsyncClient, store: MemoryStore, chain: list[Event]) -> None:
    """Times, durations, verdict and the nested events, as documented."""
    store.add(chain)
    answer = await client.get(f"{CHAINS}/{chain[0].correlation_id}")
    assert answer.status_code == 200
    ChainDetails.model_validate_json(answer.content)
    content = answer.json()
    root = content["tree"][0]
    effect = root["effects"][0]
    assert (content["duration_ms"], content["event_count"], content["verdict"]) == (2000.0, 3, "conforms")
    assert (root["event"], root["offset_ms"], root["gap_ms"]) == (chain[0].to_dict(), 0.0, None)
    assert (effect["event"], effect["offset_ms"], effect["gap_ms"]) == (chain[1].to_dict(), 1000.0, 1000.0)
    assert effect["effects"][0]["offset_ms"] == 2000.0


async def test_a_malformed_correlation_id_says_what_came(client: AsyncClient) -> None:
    """400, not 404, since such an id cannot exist."""
    answer = await client.get(f"{CHAINS}/nope")
    assert answer.status_code == 400
    (detail,) = answer.json()["details"]
    assert detail["field"] == "correlation_id"
    assert detail["message"].startswith("expected a UUID")
    assert detail["message"].endswith("got 'nope'")


async def test_an_unknown_correlation_id_is_not_found(client: AsyncClient, chain: list[Event]) -> None:
    """404, as an error response."""
    answer = await client.get(f"{CHAINS}/{chain[0].correlation_id}")
    assert answer.status_code == 404
    assert answer.json() == {"error": f"no chain {chain[0].correlation_id} is stored", "details": []}


def test_a_finished_chain_is_explained_by_its_longest_wait(chain: list[Event]) -> None:
    """How it ended, how long it took, where the time went."""
    assert explain(MemoryChain(chain)) == (
        "agent-execution completed after 2,000 ms with 3 events; "
        "it waited longest (1,000 ms) for omninode.agent.execution.started.v1."
    )


def test_a_failed_chain_is_explained_by_the_error_it_gave() -> None:
    """Class and message of the last event."""
    events = make_chain("execution.started", "execution.failed")
    events[-1] = replace(events[-1], payload={"error_class": "TimeoutError", "error_message": "too slow"})
    sentence = explain(MemoryChain(events, state="failed", outcome="failed"))
    assert sentence.endswith(" The cause it gave: TimeoutError: too slow.")


def test_a_chain_in_flight_is_explained_by_its_last_event() -> None:
    """A chain in flight has no outcome yet."""
    events = make_chain("routing.requested", "execution.started")
    sentence = explain(MemoryChain(events, state="started", outcome=None))
    assert sentence == ("agent-execution is in flight: 2 events so far, the last omninode.agent.execution.started.v1.")


def test_a_deviation_is_explained(chain: list[Event]) -> None:
    """Each verdict is explained in a sentence."""
    assert explain(MemoryChain(chain, verdict="orphan")).endswith("started.v1. Its request was never seen.")
