"""Forks, bounds, outcomes, marks and windows of chains that are more than lines."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog, Chain, Fixed, Transition, Uniform
from eventbus.catalog.graph.conformance import accepted_sets
from eventbus.catalog.graph.expand import graph_of
from eventbus.catalog.model import CausedChain, Fork, JoinRule, Outcome, Retry, State, Target
from eventbus.chains import ChainGenerator, ImpossibleChain
from eventbus.chains.stream import Engine
from eventbus.event import Event, microseconds
from tests.unit.chains.catalogs import catalog_of, chain, state, way
from tests.unit.chains.topologies import topologies


def fork(action: str, *branches: str, join: str, unless: dict[str, str] | None = None) -> State:
    """A state that splits, without delays."""
    others = tuple(
        JoinRule(ended=end, target=Target(to=to, delay=Fixed(value=0))) for end, to in (unless or {}).items()
    )
    ways = tuple(Target(to=to, delay=Fixed(value=0)) for to in branches)
    return State(
        name=action,
        emits=f"test.thing.{action}.v1",
        fork=Fork(branches=ways, join=Target(to=join, delay=Fixed(value=0)), unless=others),
    )


def end(action: str) -> State:
    """Where a branch ends."""
    return State(name=action, emits=f"test.thing.{action}.v1")


def actions(events: list[Event]) -> list[str]:
    return [one.event_type.split(".")[2] for one in events]


def in_run(generator: ChainGenerator, chains: int) -> list[list[str]]:
    """The actions of each of the first chains."""
    events: dict[str, list[Event]] = defaultdict(list)
    for one in generator.events(chains=chains):
        events[one.correlation_id].append(one)
    return [actions(some) for some in events.values()]


TWO_WAYS_TO_FAIL = catalog_of(
    chain(
        "order",
        fork("placed", "pay", "pack", join="shipped", unless={"declined": "cancelled", "missing": "cancelled"}),
        state("pay", way("paid", weight=90), way("declined", weight=10)),
        end("paid"),
        end("declined"),
        state("pack", way("packed", weight=70), way("missing", weight=30)),
        end("packed"),
        end("missing"),
        state("shipped"),
        state("cancelled", failed=True),
    )
)


def test_a_failure_is_drawn_among_all_ways_to_fail() -> None:
    """Combinations of ends that lead to the outcome come as often as they would among the chains that have it."""
    generator = ChainGenerator(TWO_WAYS_TO_FAIL, seed=1)
    made = [set(actions(generator.chain(outcome="failed"))) for _ in range(1000)]
    assert all("cancelled" in names for names in made)
    found = Counter(("declined" in names, "missing" in names) for names in made)
    chances = {(True, True): 0.03, (True, False): 0.07, (False, True): 0.27}
    for ends, chance in chances.items():
        assert found[ends] == pytest.approx(1000 * chance / 0.37, rel=0.3)


def test_branches_are_independent() -> None:
    """Without an outcome asked for, each branch ends by its own weights."""
    made = [set(names) for names in in_run(ChainGenerator(TWO_WAYS_TO_FAIL, seed=2), 4000)]
    both = sum({"declined", "missing"} <= names for names in made)
    assert both == pytest.approx(4000 * 0.03, rel=0.35)
    assert sum("declined" in names for names in made) == pytest.approx(400, rel=0.15)


def test_of_branches_that_end_together_the_later_step_causes_the_join() -> None:
    """Where two ends have the same time, one of them is the cause, and always the same one."""
    tie = chain("tie", fork("begin", "a", "b", join="done"), state("a", way("c", 5)), end("c"), end("b"), state("done"))
    slow = replace(tie.states["begin"], fork=Fork(branches=(way_to("a", 0), way_to("b", 5)), join=way_to("done", 1)))
    events = ChainGenerator(catalog_of(replace(tie, states={**tie.states, "begin": slow})), seed=1).chain()
    by_id = {one.event_id: one for one in events}
    assert actions(events)[-1] == "done"
    assert by_id[events[-1].causation_id or ""].event_type == "test.thing.c.v1"


def test_a_retry_may_go_back_before_a_fork() -> None:
    """What was taken before branches run is neither forgotten nor counted again when they have ended."""
    again = Retry(limit=2, otherwise=way_to("given-up", 1))
    check = state("check", Transition(to="begin", delay=Fixed(value=1), weight=1, retry=again))
    loop = chain("loop", fork("begin", "a", "b", join="check"), end("a"), end("b"), check, state("given-up"))
    names = actions(ChainGenerator(catalog_of(loop), seed=1).chain())
    assert Counter(names) == {"begin": 3, "a": 3, "b": 3, "check": 3, "given-up": 1}


def way_to(to: str, delay: float) -> Target:
    return Target(to=to, delay=Fixed(value=delay))


def test_branches_share_the_events_that_are_left() -> None:
    """Loops in branches end in time: no chain has more events than it may, and the join always comes."""
    looping = [state(name, way(name, 1, weight=99), way(f"{name}-end", 1, weight=1)) for name in ("a", "b", "c")]
    loop = chain(
        "loop",
        fork("begin", "a", "b", join="c"),
        *looping,
        end("a-end"),
        end("b-end"),
        state("c-end", way("done")),
        state("done"),
        max_steps=20,
    )
    generator = ChainGenerator(catalog_of(loop), seed=3)
    made = in_run(generator, 200)
    sizes = Counter(map(len, made))
    assert max(sizes) <= 20
    assert sizes[max(sizes)] > 100
    assert all(names[-1] == "done" for names in made)


def test_few_events_leave_few_combinations() -> None:
    """Near the bound, only ends of branches are drawn from which the chain still ends in time."""
    chains = chain(
        "short",
        fork("begin", "a", "b", join="done", unless={"long": "detour"}),
        state("a", way("short", weight=1), way("long", weight=99)),
        end("short"),
        end("long"),
        end("b"),
        state("detour", way("further")),
        state("further", way("done")),
        state("done"),
        max_steps=5,
    )
    assert all(len(names) == 5 for names in in_run(ChainGenerator(catalog_of(chains), seed=3), 50))


def test_a_fork_that_cannot_end_in_time_is_refused() -> None:
    """The shortest walk counts all branches."""
    short = chain("short", fork("begin", "a", "b", join="done"), end("a"), end("b"), state("done"), max_steps=3)
    with pytest.raises(ImpossibleChain, match="within 3 events"):
        ChainGenerator(catalog_of(short))


def outcomes(catalog: Catalog) -> set[Outcome | None]:
    parent = catalog.chains["parent"]
    return {graph_of(parent).state(end).outcome for end in graph_of(parent).ends()}


@given(catalog=topologies(), outcome=st.sampled_from(["completed", "failed"]), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_any_topology_ends_as_it_is_asked_to(catalog: Catalog, outcome: Outcome, seed: int) -> None:
    """The parent's last event has the outcome; what was left behind is a finished walk."""
    assume(outcome in outcomes(catalog))
    parent = catalog.chains["parent"]
    ends = {one.emits for one in parent.states.values() if one.outcome == outcome}
    accepted = accepted_sets(parent)
    try:
        generator = ChainGenerator(catalog, seed=seed)
        made = [generator.chain(outcome=outcome) for _ in range(5)]
    except ImpossibleChain:
        return
    for events in made:
        own = frozenset(one.event_type for one in events if one.event_type.startswith("test.parent."))
        assert own & ends
        assert own in accepted


@given(catalog=topologies(), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_marks_steps_and_spans_of_any_topology(catalog: Catalog, seed: int) -> None:
    """One event of a chain is its last and none is later; steps are unique and above their cause's; spans hold."""
    generator = ChainGenerator(catalog, seed=seed)
    engine = _engine(generator)
    table = engine.tables(chains=40)
    rows = defaultdict(list)
    for block in table:
        columns = (block.chain, block.time, block.step, block.cause, block.terminal, block.began)
        for number, *values in zip(*(column.tolist() for column in columns), strict=True):
            rows[number].append(tuple(values))
    span = int(generator._plan.spans.max())
    assert len(rows) == 40
    for events in rows.values():
        steps = [step for _, step, *_ in events]
        assert len(set(steps)) == len(steps)
        assert all(cause in steps and cause < step for _, step, cause, *_ in events if step)
        assert [mark for *_, mark, _ in events] == [0] * (len(events) - 1) + [1]
        assert all(began <= time <= began + span for time, *_, began in events)


@given(catalog=topologies(), seed=st.integers(0, 99), block=st.integers(1, 30))
@settings(max_examples=15, deadline=None)
def test_a_window_of_any_topology_is_as_in_the_run(catalog: Catalog, seed: int, block: int) -> None:
    """The middle of a run, made without its beginning, is the same bytes."""
    generator = ChainGenerator(catalog, seed=seed, rate=5.0, block=block)
    since, until = generator.start + timedelta(seconds=4), generator.start + timedelta(seconds=9)
    low, high = microseconds(since), microseconds(until)
    whole = [
        line
        for one in generator.blocks(chains=60)
        for line, time in zip((text for some in one.lines() for text in some), one.table.time.tolist(), strict=True)
        if low <= time < high
    ]
    part = [line for one in generator.window(since, until, chains=60) for some in one.lines() for line in some]
    assert part == whole


def test_two_workers_make_the_same_bytes() -> None:
    """Forks and caused chains are the same in other processes."""
    generator = ChainGenerator(family(30.0), seed=4)
    one, two = (
        [line for block in generator.blocks(chains=3000, workers=workers) for some in block.lines() for line in some]
        for workers in (1, 2)
    )
    assert one == two


def family(weight: float) -> Catalog:
    """A chain that causes another, maybe twice."""
    parent = chain("parent", state("asked", way("told", Uniform(minimum=5, maximum=9))), state("told"))
    causes = (CausedChain(chain="child", weight=weight, delay=Fixed(value=50)),)
    states = {
        name: State(name=name, emits=one.emits, next=one.next, outcome=one.outcome, causes=causes)
        for name, one in parent.states.items()
    }
    child = Chain(
        name="child",
        weight=0,
        start="begun",
        states={one.name: one for one in (fork("begun", "left", "right", join="over"), end("left"), end("right"))}
        | {"over": state("over")},
    )
    return catalog_of(Chain(name="parent", weight=1, start="asked", states=states), child)


def test_children_hang_on_their_cause() -> None:
    """A caused chain has its parent's correlation id; its first event comes after the delay, caused by the event."""
    generator = ChainGenerator(family(100.0), seed=4)
    events = generator.chain()
    assert Counter(actions(events)) == {
        "asked": 1,
        "told": 1,
        **dict.fromkeys(("begun", "left", "right", "over"), 2),
    }
    by_id = {one.event_id: one for one in events}
    for one in events:
        assert one.correlation_id == events[0].event_id
        if one.event_type == "test.thing.begun.v1":
            cause = by_id[one.causation_id or ""]
            assert cause.event_type in {"test.thing.asked.v1", "test.thing.told.v1"}
            assert one.timestamp - cause.timestamp == timedelta(milliseconds=50)


def test_children_come_as_often_as_they_should() -> None:
    """In so many percent of the events, each by itself."""
    found = Counter(names.count("begun") for names in in_run(ChainGenerator(family(30.0), seed=4), 2000))
    for count, chance in {0: 0.49, 1: 0.42, 2: 0.09}.items():
        assert found[count] == pytest.approx(2000 * chance, rel=0.2)


def _engine(generator: ChainGenerator) -> Engine:
    return Engine(generator._plan, generator._arrivals, root=generator._root, start=0)
