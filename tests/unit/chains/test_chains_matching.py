"""The events of a chain are found in its graph, as a tree of causes: each event at its node, or no walk at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eventbus.catalog import Catalog, Fixed, State
from eventbus.catalog.graph.expand import graph_of
from eventbus.catalog.model import CausedChain, Fork, JoinRule, Retry, Target
from eventbus.chains.verification.traces import Matcher, Shape
from tests.unit.chains.catalogs import catalog_of, chain, state, way


def steps_of(catalog: Catalog, *events: tuple[str, int]) -> list[list[tuple[str, str | None]]]:
    """For each walk that fits, the state of each event and of its cause."""
    shape = Shape(tuple(f"test.thing.{action}.v1" for action, _ in events), tuple(cause for _, cause in events))
    found = []
    for walked in Matcher(catalog).walks(shape):
        graph = graph_of(catalog.chain(walked.chain))
        states = {step.event: graph.state(step.node).name for step in walked.steps}
        found.append([(states[step.event], states.get(step.cause)) for step in sorted(walked.steps)])
    return found


def to(name: str) -> Target:
    return Target(to=name, delay=Fixed(value=10))


def order() -> Catalog:
    """Paid and packed side by side, then sent, or cancelled if it was declined."""
    fork = Fork(
        branches=(to("pay"), to("pack")), join=to("sent"), unless=(JoinRule(ended="declined", target=to("off")),)
    )
    return catalog_of(
        chain(
            "order",
            replace(state("placed"), outcome=None, fork=fork),
            state("pay", way("paid", weight=90.0), way("declined", weight=10.0)),
            replace(state("paid"), outcome=None),
            replace(state("declined"), outcome=None),
            replace(state("pack"), outcome=None),
            state("sent"),
            state("off", failed=True),
        )
    )


def test_branches_meet_behind_the_join() -> None:
    """The join's event hangs on the end of either branch, whichever came last."""
    for last in (2, 3):
        events = [("placed", -1), ("pay", 0), ("paid", 1), ("pack", 0), ("sent", last)]
        assert steps_of(order(), *events) == [
            [
                ("placed", None),
                ("pay", "placed"),
                ("paid", "pay"),
                ("pack", "placed"),
                ("sent", "paid" if last == 2 else "pack"),
            ]
        ]


@pytest.mark.parametrize(
    "events",
    [
        [("placed", -1), ("pay", 0), ("paid", 1), ("sent", 2)],
        [("placed", -1), ("pay", 0), ("paid", 1), ("pack", 0)],
        [("placed", -1), ("pay", 0), ("paid", 1), ("pack", 0), ("sent", 0)],
        [("placed", -1), ("pay", 0), ("paid", 1), ("pack", 0), ("off", 2)],
        [("placed", -1), ("pay", 0), ("paid", 1), ("pack", 0), ("sent", 3), ("sent", 2)],
        [("placed", -1), ("pay", 0), ("paid", 1), ("pack", 0), ("pack", 0), ("sent", 3)],
        [("placed", -1), ("pay", 0), ("paid", 1), ("pack", 2), ("sent", 3)],
    ],
    ids=[
        "branch missing",
        "not joined",
        "joined too early",
        "wrong end",
        "joined twice",
        "branch twice",
        "wrong cause",
    ],
)
def test_what_is_no_walk(events: list[tuple[str, int]]) -> None:
    """A tree that the graph cannot leave has no walk."""
    assert steps_of(order(), *events) == []


def test_the_end_of_a_branch_decides() -> None:
    """Behind a declined payment the chain goes where the join says."""
    events = [("placed", -1), ("pay", 0), ("declined", 1), ("pack", 0), ("off", 3)]
    assert steps_of(order(), *events)[0][-1] == ("off", "pack")


def test_branches_of_one_type_are_ambiguous() -> None:
    """Two branches that begin alike can be dealt out in two ways, and both are told."""
    fork = Fork(branches=(to("left"), to("right")), join=to("done"))
    left, right = (State(name=name, emits="test.thing.part.v1") for name in ("left", "right"))
    catalog = catalog_of(
        chain("twins", replace(state("begun"), outcome=None, fork=fork), left, right, state("done")),
    )
    events = [("begun", -1), ("part", 0), ("part", 0), ("done", 2)]
    assert len(steps_of(catalog, *events)) == 2


def retrying() -> Catalog:
    retry = Retry(limit=2, otherwise=to("lost"))
    again = replace(way("tried", weight=30.0), retry=retry)
    return catalog_of(chain("retrying", state("tried", again, way("won", weight=70.0)), state("won"), state("lost")))


def test_retries_are_counted() -> None:
    """A third retry is none: it is lost then."""
    tried = [("tried", -1), ("tried", 0), ("tried", 1)]
    assert len(steps_of(retrying(), *tried, ("won", 2))) == 1
    assert len(steps_of(retrying(), *tried, ("lost", 2))) == 1
    assert steps_of(retrying(), *tried, ("tried", 2), ("won", 3)) == []
    assert steps_of(retrying(), *tried[:2], ("lost", 1)) == []


def test_abandoned_chains_stop_where_they_may() -> None:
    """Without an end it is a walk only where the catalog lets chains be abandoned."""
    begun = replace(state("begun", way("going", weight=95.0)), abandon=5.0)
    catalog = catalog_of(chain("leaving", begun, state("going", way("done", weight=100.0)), state("done")))
    assert steps_of(catalog, ("begun", -1)) == [[("begun", None)]]
    assert steps_of(catalog, ("begun", -1), ("going", 0)) == []


def causing() -> Catalog:
    causes = CausedChain(chain="inner", delay=Fixed(value=5), weight=50.0)
    outer = chain("outer", replace(state("clicked", way("left")), causes=(causes,)), state("left"))
    inner = chain("inner", state("asked", way("answered")), state("answered"), weight=0.0)
    return catalog_of(outer, inner)


def test_caused_chains_are_walks_of_their_own() -> None:
    """What an event caused is told beside the walk; it must be complete, and allowed there."""
    matcher = Matcher(causing())
    types = [f"test.thing.{action}.v1" for action in ("clicked", "left", "asked", "answered")]
    (walked,) = matcher.walks(Shape(tuple(types), (-1, 0, 0, 2)))
    assert walked.chain == "outer"
    assert [(one.event, one.walk.chain, len(one.walk.steps)) for one in walked.caused] == [(0, "inner", 2)]
    assert matcher.walks(Shape(tuple(types[:3]), (-1, 0, 0))) == ()
    assert matcher.walks(Shape(tuple(types), (-1, 0, 1, 2))) == ()
    assert matcher.walks(Shape(tuple(types[2:]), (-1, 0))) == ()


@pytest.mark.parametrize("length", [3, 2000])
def test_long_walks_do_not_nest(length: int) -> None:
    """A loop of any length is walked without recursion."""
    again = state("tried", way("tried", weight=50.0), way("won", weight=50.0))
    catalog = catalog_of(chain("loop", again, state("won"), max_steps=5000))
    events = [("tried", number - 1) for number in range(length)]
    assert len(steps_of(catalog, *events, ("won", length - 1))) == 1
