"""Forks, retries, timeouts, compensation and caused chains: reading, validation and the expanded graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.catalog import Catalog, Delay, Exponential, Fixed, InvalidCatalog, LogNormal, Uniform
from eventbus.catalog.graph.conformance import accepted_sets, partial_sets
from eventbus.catalog.graph.expand import graph_of
from eventbus.catalog.model import Backoff, CausedChain, Retry, Target, Timeout, truncate

LoadText = Callable[..., Catalog]

TRIP = """\
source: desk
lists:
  airline: [north, south]
events:
  trip.plan.asked.v1: {}
  trip.flight.held.v1: {}
  trip.flight.freed.v1: {}
  trip.flight.full.v1: {}
  trip.hotel.held.v1: {payload: {attempt: {type: integer, attempt: true}}}
  trip.plan.booked.v1: {}
  trip.plan.dropped.v1: {}
  trip.bill.drawn.v1: {}
  trip.bill.paid.v1: {}
chains:
  trip:
    weight: 1
    start: asked
    variables: {airline: {list: airline, factor: {p95: 3}}}
    states:
      asked:
        emits: trip.plan.asked.v1
        fork:
          branches:
            - {to: flight, delay: {fixed: 1}}
            - {to: hotel, delay: {fixed: 1}}
          join:
            to: booked
            delay: {fixed: 5}
            unless: [{state: full, to: dropped, compensate: true}]
      flight:
        emits: trip.flight.held.v1
        compensation: {state: freed, delay: {fixed: 2}}
        abandon: 2
        next:
          - {to: seated, weight: 90, delay: {uniform: [10, 20]}, scaled_by: airline}
          - {to: full, weight: 8, delay: {fixed: 3}}
      seated: {emits: trip.flight.held.v1}
      freed: {emits: trip.flight.freed.v1}
      full: {emits: trip.flight.full.v1}
      hotel:
        emits: trip.hotel.held.v1
        timeout: {after: 50, to: room}
        next:
          - {to: room, weight: 60, delay: {uniform: [0, 100]}}
          - {to: hotel, weight: 40, retry: {limit: 2, backoff: {initial: 10}, else: {to: room, delay: {fixed: 0}}}}
      room: {emits: trip.hotel.held.v1}
      booked:
        emits: trip.plan.booked.v1
        causes: [{chain: bill, weight: 30, delay: {fixed: 7}}]
        outcome: completed
      dropped: {emits: trip.plan.dropped.v1, outcome: failed}
  bill:
    weight: 0
    start: drawn
    states:
      drawn: {emits: trip.bill.drawn.v1, next: [{to: paid, delay: {fixed: 1}}]}
      paid: {emits: trip.bill.paid.v1, outcome: completed}
"""

STATES = "chains.trip.states"


class Case(NamedTuple):
    """A slip in the good catalog, and what is said about it, where."""

    old: str
    new: str
    where: str
    problem: str


BRANCHES = """\
            - {to: flight, delay: {fixed: 1}}
            - {to: hotel, delay: {fixed: 1}}
"""
BOOKED = "causes: [{chain: bill, weight: 30, delay: {fixed: 7}}]\n"
CASES = {
    "one branch": Case(
        BRANCHES,
        "            - {to: flight, delay: {fixed: 1}}\n",
        f"{STATES}.asked.fork.branches",
        "expected at least 2 branches, got 1",
    ),
    "unknown branch": Case(
        "{to: hotel, delay: {fixed: 1}}",
        "{to: hottel, delay: {fixed: 1}}",
        f"{STATES}.asked.fork.branches[1].to",
        "unknown state 'hottel' (did you mean 'hotel'?)",
    ),
    "unknown join": Case("to: booked\n", "to: bookd\n", f"{STATES}.asked.fork.join.to", "unknown state 'bookd'"),
    "fork and next": Case(
        "        fork:\n",
        "        next: [{to: flight, delay: {fixed: 1}}]\n        fork:\n",
        f"{STATES}.asked.fork",
        "expected either `next` or `fork`, got both",
    ),
    "shared state": Case(
        "{to: full, weight: 8,",
        "{to: room, weight: 8,",
        f"{STATES}.room",
        "'room' is both in the branch to 'hotel' and in the branch to 'flight'",
    ),
    "branch that leaves": Case(
        "{to: full, weight: 8,",
        "{to: dropped, weight: 8,",
        f"{STATES}.dropped",
        "'dropped' is both in the branch to 'flight' and outside of it",
    ),
    "outcome in a branch": Case(
        "room: {emits: trip.hotel.held.v1}",
        "room: {emits: trip.hotel.held.v1, outcome: completed}",
        f"{STATES}.room.outcome",
        "a branch ends without an outcome",
    ),
    "unless nothing ends there": Case(
        "unless: [{state: full,",
        "unless: [{state: flight,",
        f"{STATES}.asked.fork.join.unless[0].state",
        "expected a state in which a branch ends, got 'flight'; there are seated, full, room",
    ),
    "weights with abandon": Case(
        "abandon: 2",
        "abandon: 3",
        f"{STATES}.flight.next",
        "the transition weights and `abandon` sum to 101, expected 100",
    ),
    "abandon at the end": Case(
        "dropped: {emits: trip.plan.dropped.v1, outcome",
        "dropped: {emits: trip.plan.dropped.v1, abandon: 1, outcome",
        f"{STATES}.dropped.abandon",
        "`abandon` requires `next`",
    ),
    "timeout at once": Case("after: 50", "after: 0", f"{STATES}.hotel.timeout.after", "a time above 0 ms, got 0"),
    "timeout to nowhere": Case("after: 50, to: room", "after: 50, to: rom", f"{STATES}.hotel.timeout.to", "'rom'"),
    "timeout of a delay that is none": Case(
        "{to: room, weight: 60, delay: {uniform: [0, 100]}}",
        "{to: room, weight: 60, delay: {lognormal: {median: 100, p95: 10}}}",
        f"{STATES}.hotel.next[0].delay",
        "expected a p95 above the median 100, got 10",
    ),
    "timeout that is a number": Case(
        "timeout: {after: 50, to: room}", "timeout: 50", f"{STATES}.hotel.timeout", "a mapping with after, to, got 50"
    ),
    "timeout of what is multiplied": Case(
        "{uniform: [0, 100]}}",
        "{uniform: [0, 100]}, scaled_by: airline}",
        f"{STATES}.hotel.next[0].scaled_by",
        "a scaled delay cannot have a timeout",
    ),
    "never in time": Case(
        "{to: full, weight: 8, delay: {fixed: 3}}\n",
        "{to: full, weight: 8, delay: {fixed: 3}}\n        timeout: {after: 2, to: seated}\n",
        f"{STATES}.flight.next[0].scaled_by",
        "cannot have a timeout",
    ),
    "retry without else": Case(
        ", else: {to: room, delay: {fixed: 0}}}", "}", f"{STATES}.hotel.next[1].retry", "'else' is required"
    ),
    "retry never": Case("limit: 2", "limit: 0", f"{STATES}.hotel.next[1].retry.limit", "at least 1, got 0"),
    "retry to nowhere": Case(
        "else: {to: room", "else: {to: rom", f"{STATES}.hotel.next[1].retry.else.to", "unknown state 'rom'"
    ),
    "retry with a delay": Case(
        "{to: hotel, weight: 40,",
        "{to: hotel, weight: 40, delay: {fixed: 1},",
        f"{STATES}.hotel.next[1]",
        "a retry with `backoff` has no `delay`",
    ),
    "retry without a delay": Case(
        "backoff: {initial: 10}, ", "", f"{STATES}.hotel.next[1]", "'delay' is required, but missing"
    ),
    "negative back-off": Case(
        "initial: 10", "initial: -1", f"{STATES}.hotel.next[1].retry.backoff.initial", "0 ms or more, got -1"
    ),
    "too much jitter": Case(
        "initial: 10", "initial: 10, jitter: 1.5", f"{STATES}.hotel.next[1].retry.backoff.jitter", "between 0 and 1"
    ),
    "compensation that goes on": Case(
        "freed: {emits: trip.flight.freed.v1}",
        "freed: {emits: trip.flight.freed.v1, next: [{to: full, delay: {fixed: 1}}]}",
        f"{STATES}.flight.compensation.state",
        "expected a state without `next`, `fork` and `outcome`, but 'freed' has one",
    ),
    "compensation taken directly": Case(
        "{to: full, weight: 8,",
        "{to: freed, weight: 8,",
        f"{STATES}.flight.next[1].to",
        "'freed' undoes another state and may only be a `compensation`",
    ),
    "compensation after the end": Case(
        BOOKED,
        "compensation: {state: freed, delay: {fixed: 1}}\n",
        f"{STATES}.booked.compensation",
        "compensations do not run after the chain has ended",
    ),
    "unreachable": Case(
        "unless: [{state: full, to: dropped, compensate: true}]",
        "compensate: true",
        f"{STATES}.dropped",
        "unreachable: no transitions lead from 'asked' to 'dropped'",
    ),
    "unknown chain": Case(
        "chain: bill", "chain: bil", f"{STATES}.booked.causes[0].chain", "unknown chain 'bil' (did you mean 'bill'?)"
    ),
    "more than always": Case(
        "chain: bill, weight: 30",
        "chain: bill, weight: 130",
        f"{STATES}.booked.causes[0].weight",
        "expected a share between 0 and 100 percent, got 130",
    ),
    "caused twice": Case(
        "causes: [",
        "causes: [{chain: bill, weight: 5, delay: {fixed: 7}}, ",
        f"{STATES}.booked.causes[1].chain",
        "bill is listed twice",
    ),
    "caused chain that causes": Case(
        "paid: {emits: trip.bill.paid.v1,",
        "paid: {emits: trip.bill.paid.v1, causes: [{chain: trip, delay: {fixed: 1}}],",
        f"{STATES}.booked.causes[0].chain",
        "bill causes trip: a chain that is caused may not cause others",
    ),
    "common types": Case(
        "emits: trip.bill.drawn.v1",
        "emits: trip.hotel.held.v1",
        f"{STATES}.booked.causes[0].chain",
        "bill has trip.hotel.held.v1 too",
    ),
    "factor without a list": Case(
        "{list: airline, factor: {p95: 3}}",
        "{min: 1, max: 2, factor: {p95: 3}}",
        "chains.trip.variables.airline.factor",
        "a factor belongs to a variable with a list",
    ),
    "factor below the median": Case(
        "p95: 3", "p95: 1", "chains.trip.variables.airline.factor.p95", "above 1 (the median), got 1"
    ),
    "slow by nothing": Case(
        ", factor: {p95: 3}",
        "",
        f"{STATES}.flight.next[0].scaled_by",
        "expected a variable with a `factor`, got 'airline'",
    ),
    "attempt in words": Case(
        "{type: integer, attempt: true}",
        "{type: string, attempt: true}",
        "events.trip.hotel.held.v1.payload.attempt.type",
        "the number of an attempt is an integer, got string",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_mistake_is_reported_where_it_is(load_text: LoadText, case: Case) -> None:
    """One slip in a good catalog is named with its place, in a sentence."""
    assert case.old in TRIP
    with pytest.raises(InvalidCatalog) as caught:
        load_text(TRIP.replace(case.old, case.new))
    found = {(mistake.where, mistake.problem) for mistake in caught.value.mistakes}
    assert any(where == case.where and case.problem in problem for where, problem in found), found


def test_what_is_written_is_read(load_text: LoadText) -> None:
    """Every key arrives in the model, with its defaults."""
    states = load_text(TRIP).chain("trip").states
    assert states["asked"].fork is not None
    assert states["asked"].fork.target(frozenset({"room", "full"})) == Target(
        to="dropped", delay=Fixed(value=5), compensate=True
    )
    assert states["asked"].fork.target(frozenset({"room", "seated"})) == Target(to="booked", delay=Fixed(value=5))
    assert states["hotel"].timeout == Timeout(after=50, to="room")
    assert states["hotel"].next[1].retry == Retry(
        limit=2, otherwise=Target(to="room", delay=Fixed(value=0)), backoff=Backoff(initial=10)
    )
    assert states["flight"].compensation == Target(to="freed", delay=Fixed(value=2))
    assert (states["flight"].abandon, states["flight"].next[0].scaled_by) == (2, "airline")
    assert states["booked"].causes == (CausedChain(chain="bill", delay=Fixed(value=7), weight=30),)


def test_the_weight_that_is_not_written_is_the_rest(load_text: LoadText) -> None:
    """A single transition has what `abandon` leaves."""
    text = TRIP.replace("emits: trip.bill.drawn.v1, next", "emits: trip.bill.drawn.v1, abandon: 5, next")
    assert load_text(text).chain("bill").states["drawn"].next[0].weight == 95


def test_back_off_grows_to_a_cap_with_jitter() -> None:
    """The n-th delay is `initial × factor^(n-1)`, capped, and evenly about that."""
    plain = Backoff(initial=100, factor=3, maximum=500)
    assert [plain.delay(n) for n in (1, 2, 3, 9999)] == [Fixed(value=v) for v in (100, 300, 500, 500)]
    assert Backoff(initial=100, jitter=0.2).delay(2) == Uniform(minimum=160, maximum=240)


def test_retries_are_expanded_and_counted(load_text: LoadText) -> None:
    """A state that is tried three times is three nodes; the last one has the `else` in place of a retry."""
    graph = graph_of(load_text(TRIP).chain("trip"))
    tries = [node for node in graph.nodes if node.state == "hotel"]
    assert [[edge.is_retry for edge in node.edges] for node in tries] == [
        [False, True, False],
        [False, True, False],
        [False, False, False],
    ]
    assert [edge.delay for node in tries for edge in node.edges if edge.is_retry] == [Fixed(value=10), Fixed(value=20)]


def test_a_timeout_splits_each_way(load_text: LoadText) -> None:
    """What takes longer is cut off, and stands beside the rest with its exact share."""
    graph = graph_of(load_text(TRIP).chain("trip"))
    room, again, late = next(node for node in graph.nodes if node.state == "hotel").edges
    assert (room.weight, room.delay) == (30, Uniform(minimum=0, maximum=50))
    assert (again.weight, again.delay) == (40, Fixed(value=10))
    assert (late.weight, late.delay, graph.state(late.to).name) == (30, Fixed(value=50), "room")


def test_finished_sets_combine_branches(load_text: LoadText) -> None:
    """What ended well, or was undone; an abandoned walk is not finished."""
    short = {
        frozenset(name.removeprefix("trip.").removesuffix(".v1") for name in types)
        for types in accepted_sets(load_text(TRIP).chain("trip"))
    }
    both = frozenset({"plan.asked", "flight.held", "hotel.held"})
    assert short == {both | {"plan.booked"}, both | {"flight.full", "flight.freed", "plan.dropped"}}


def test_unfinished_sets_know_what_may_come_next(load_text: LoadText) -> None:
    """While one branch runs, its next events may come; the join only when all have ended."""
    onward = partial_sets(load_text(TRIP).chain("trip"))
    asked, held, room = "trip.plan.asked.v1", "trip.flight.held.v1", "trip.hotel.held.v1"
    assert onward[frozenset({asked})] == {held, room}
    assert onward[frozenset({asked, held})] == {held, room, "trip.flight.full.v1"}
    full = "trip.flight.full.v1"
    assert onward[frozenset({asked, held, room})] == {held, room, full, "trip.plan.booked.v1"}
    assert onward[frozenset({asked, held, room, full})] == {room, "trip.flight.freed.v1"}


def test_an_unfinished_chain_is_explained(load_text: LoadText) -> None:
    """The sentence names what is still expected of the branches."""
    facts = load_text(TRIP).conformance
    said = facts.explain("trip", ["trip.plan.asked.v1"], ended=False)
    assert said == ["not ended yet: trip.flight.held.v1 or trip.hotel.held.v1 may come next"]


def test_a_graph_that_is_too_large_is_refused(load_text: LoadText) -> None:
    """Retries that multiply are named with the bound."""
    ways = "\n".join(
        f"          - {{to: hotel, weight: 10, retry: {{limit: 20, backoff: {{initial: 1, factor: 1}}, "
        f"else: {{to: room, delay: {{fixed: {n}}}}}}}}}"
        for n in range(4)
    )
    old = TRIP[TRIP.index("          - {to: hotel, weight: 40") : TRIP.index("      room: {emits")]
    text = TRIP.replace(old, ways + "\n")
    with pytest.raises(InvalidCatalog, match="expands to more than 4,096 nodes"):
        load_text(text)


delays: st.SearchStrategy[Delay] = st.one_of(
    st.builds(lambda v: Fixed(value=v), st.integers(0, 100)),
    st.builds(lambda low, wide: Uniform(minimum=low, maximum=low + wide), st.integers(0, 90), st.integers(0, 90)),
    st.builds(lambda m, top: Exponential(mean=m, maximum=top), st.integers(1, 90), st.sampled_from([None, 80.0])),
    st.builds(lambda m, times: LogNormal(median=m, p95=m * times), st.integers(1, 90), st.floats(1.1, 9)),
)


@given(delay=delays, bound=st.integers(1, 200), further=st.integers(0, 200))
def test_truncation_is_consistent(delay: Delay, bound: int, further: int) -> None:
    """A share lies between 0 and 1 and grows with the bound; what is cut twice is as likely as what is cut once."""
    share, inside = truncate(delay, bound)
    wide, outer = truncate(delay, bound + further)
    assert 0 <= share <= wide <= 1
    if share > 0:
        again, _ = truncate(outer, bound)
        assert wide * again == pytest.approx(share)
        assert truncate(inside, bound)[0] == pytest.approx(1)
