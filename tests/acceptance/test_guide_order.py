"""The order that the guide shows is a catalog that does what the guide says of it."""

from __future__ import annotations

from collections import Counter

import pytest

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.event import Event
from tests.acceptance.manual import FILES


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """The catalog as the guide shows it, alone."""
    file = tmp_path_factory.mktemp("guide") / "order.yaml"
    file.write_text(FILES["order.yaml"])
    return Catalog.load(file, extend=False)


@pytest.fixture(scope="module")
def chains(orders: Catalog) -> list[list[Event]]:
    generator = ChainGenerator(orders, seed=11)
    return [generator.chain(index=index) for index in range(2000)]


def types(events: list[Event]) -> list[str]:
    return [event.event_type.removeprefix("shop.").removesuffix(".v1") for event in events]


def test_every_chain_is_one_tree(chains: list[list[Event]]) -> None:
    """All events of a chain, the invoice's too, hang on the event that began it, none before its cause."""
    for events in chains:
        seen = {events[0].event_id: events[0]}
        for event in events[1:]:
            assert event.correlation_id == events[0].event_id
            assert event.causation_id in seen
            assert seen[event.causation_id].timestamp <= event.timestamp
            seen[event.event_id] = event
        assert len(seen) == len(events)


def test_a_parcel_is_packed_when_the_last_branch_has_ended(chains: list[list[Event]]) -> None:
    """The join comes 10 ms after the later of payment and stock, and is caused by it."""
    for events in chains:
        by_type = dict(zip(types(events), events, strict=True))
        if "parcel.packed" in by_type:
            packed, ends = by_type["parcel.packed"], [by_type["payment.charged"], by_type["stock.reserved"]]
            last = max(ends, key=lambda event: event.timestamp)
            assert packed.causation_id == last.event_id
            assert (packed.timestamp - last.timestamp).total_seconds() == 0.01


def test_payments_are_tried_four_times_and_two_seconds_at_most(chains: list[list[Event]]) -> None:
    """Attempts count up; an answer never takes longer than the timeout, and a timed-out payment is declined."""
    attempts, timed_out = Counter[int](), 0
    for events in chains:
        by_id = {event.event_id: event for event in events}
        asked = [event for event in events if event.event_type == "shop.payment.requested.v1"]
        assert [event.payload["attempt"] for event in asked] == list(range(1, len(asked) + 1))
        attempts[len(asked)] += 1
        for event in events:
            if event.event_type in {"shop.payment.charged.v1", "shop.payment.declined.v1"}:
                assert event.causation_id
                waited = (event.timestamp - by_id[event.causation_id].timestamp).total_seconds()
                assert waited <= 2
                timed_out += waited == 2
    assert set(attempts) <= {1, 2, 3, 4}
    assert attempts[2] > 100
    assert timed_out > 20


def test_what_was_done_is_undone_in_reverse(chains: list[list[Event]]) -> None:
    """A cancelled order gives back what it took, each once, and only that."""
    cancelled = [types(events) for events in chains if "order.cancelled" in types(events)]
    assert len(cancelled) > 50
    for names in cancelled:
        assert names.count("stock.released") == 1
        assert names.count("payment.refunded") == names.count("payment.charged")
        assert names[-1] == "order.cancelled"


def test_some_orders_are_abandoned_and_shipped_ones_are_invoiced(chains: list[list[Event]]) -> None:
    """About one in a hundred just stops; a shipped order is followed by its invoice."""
    last = Counter(types(events)[-1] for events in chains)
    assert set(last) == {"invoice.sent", "order.cancelled", "parcel.packed"}
    assert 5 <= last["parcel.packed"] <= 45


def test_slow_carriers_stay_slow(chains: list[list[Event]]) -> None:
    """The mean time of each carrier is its own, and the same in both halves of the run."""
    halves = [Counter[str](), Counter[str]()]
    counts = [Counter[str](), Counter[str]()]
    for number, events in enumerate(chains):
        by_id = {event.event_id: event for event in events}
        for event in events:
            if event.event_type == "shop.order.shipped.v1":
                carrier, half = event.payload["carrier"], number % 2
                assert event.causation_id
                milliseconds = (event.timestamp - by_id[event.causation_id].timestamp).total_seconds() * 1000
                halves[half][carrier] += round(milliseconds)
                counts[half][carrier] += 1
    even, odd = ({name: sums[name] / n[name] for name in sums} for sums, n in zip(halves, counts, strict=True))
    assert sorted(even, key=even.__getitem__) == sorted(odd, key=odd.__getitem__)
    assert max(even.values()) > 1.3 * min(even.values())


@pytest.mark.parametrize(("outcome", "end"), [("completed", "order.shipped"), ("failed", "order.cancelled")])
def test_an_outcome_can_be_asked_for(orders: Catalog, outcome: str, end: str) -> None:
    """Branches are led to ends from which the outcome can still be reached, each way of it now and then."""
    generator = ChainGenerator(orders, seed=5)
    made = [types(generator.chain("order", outcome=outcome)) for _ in range(300)]  # type: ignore[arg-type]
    assert all(end in names for names in made)
    if outcome == "failed":
        declined = sum("payment.declined" in names for names in made)
        assert 0 < declined < 300
