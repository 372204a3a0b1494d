"""Graphs and accepted sets of state machines, compared with random walks and a brute-force search."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eventbus.catalog import (
    Catalog,
    CatalogError,
    Chain,
    Conformance,
    EventType,
    Fixed,
    Role,
    State,
    TooManyPaths,
    Transition,
)
from eventbus.catalog.graph.conformance import accepted_sets, assign_bits, types_of
from eventbus.catalog.graph.expand import graph_of
from eventbus.catalog.validation.chains import chain_problems, reachable

NOW = Fixed(value=0)
DEFAULT = Catalog.default()
AGENT = "omninode.agent"
ROUTING, ROUTED = f"{AGENT}.routing.requested.v1", f"{AGENT}.routing.completed.v1"
STARTED, DONE, FAILED = (f"{AGENT}.execution.{action}.v1" for action in ("started", "completed", "failed"))


def machine(ways: Mapping[str, list[str]], start: str = "s0", types: Mapping[str, str] = MappingProxyType({})) -> Chain:
    """A chain of states and their targets; a state without targets ends it; each emits a type of its own."""
    return Chain(
        name="machine",
        weight=1,
        start=start,
        states={
            name: State(
                name=name,
                emits=types.get(name, f"a.b.{name}.v1"),
                next=tuple(Transition(to=to, delay=NOW, weight=100 / len(targets)) for to in targets),
                outcome=None if targets else "completed",
            )
            for name, targets in ways.items()
        },
    )


@st.composite
def machines(draw: st.DrawFn) -> Chain:
    """Any state machine of up to six states over up to four event types."""
    names = [f"s{n}" for n in range(draw(st.integers(2, 6)))]
    ways = {name: draw(st.lists(st.sampled_from(names), max_size=3, unique=True)) for name in names}
    types = {name: f"a.b.t{draw(st.integers(0, 3))}.v1" for name in names}
    return machine(ways, types=types)


def walked(chain: Chain) -> tuple[set[str], set[str]]:
    """By brute force: the reachable states, and those of them from which an end is reachable."""

    def steps(name: str) -> set[str]:
        found = {name}
        for _ in chain.states:  # after as many rounds as there are states nothing new can come
            found |= {t.to for n in found for t in chain.states[n].next}
        return found

    reached = steps(chain.start)
    return reached, {name for name in reached if any(not chain.states[n].next for n in steps(name))}


def walk(chain: Chain, dice: random.Random, limit: int = 60) -> list[State] | None:
    """One random walk; None if it has not ended after `limit` events."""
    state = chain.states[chain.start]
    path = [state]
    while state.next:
        state = chain.states[dice.choice(state.next).to]
        path.append(state)
        if len(path) > limit:
            return None
    return path


def problems(chain: Chain) -> list[str]:
    events = {state.emits: EventType(name=state.emits, source="s") for state in chain.states.values()}
    return [problem for _, problem in chain_problems(chain, events, {})]


@given(machines())
def test_checks_agree_with_a_brute_force_walker(chain: Chain) -> None:
    """Unreachable states, missing ends and cycles without exit are reported exactly where the search finds them."""
    reached, ending = walked(chain)
    found = problems(chain)
    assert reachable(chain) == reached
    assert sum("unreachable" in text for text in found) == len(chain.states) - len(reached)
    has_end = any(not state.next for state in chain.states.values())
    assert any("no terminal state" in text for text in found) == (not has_end)
    assert any("cycle without exit" in text for text in found) == (has_end and ending != reached)


def test_distances_ignore_transitions_of_weight_0() -> None:
    """Only transitions that can be taken lead to an end."""
    chain = machine({"s0": ["s1", "end"], "s1": ["end"], "end": []})
    never = replace(chain.states["s0"], next=(chain.states["s0"].next[0], Transition(to="end", delay=NOW, weight=0)))
    detour = replace(chain, states={**chain.states, "s0": never})
    assert [graph_of(one).distances(graph_of(one).ends())[0] for one in (chain, detour)] == [1, 2]


@given(machines(), st.integers(0, 2**32))
def test_every_walk_leaves_an_accepted_set(chain: Chain, seed: int) -> None:
    """The set of event types of a finished walk is among the accepted ones."""
    accepted = accepted_sets(chain)
    dice = random.Random(seed)
    for _ in range(20):
        path = walk(chain, dice)
        assert path is None or frozenset(state.emits for state in path) in accepted


@given(machines())
def test_every_accepted_set_is_left_by_a_walk(chain: Chain) -> None:
    """A breadth-first search over all walks finds every accepted set."""
    found, ahead = set(), {(chain.start, frozenset({chain.root}))}
    for _ in range(len(chain.states) * (len(types_of(chain)) + 1)):  # a state is new at most once for each new type
        found |= {types for name, types in ahead if not chain.states[name].next}
        ahead = {
            (t.to, types | {chain.states[t.to].emits}) for name, types in ahead for t in chain.states[name].next
        } | ahead
    assert accepted_sets(chain) == found


@given(st.lists(st.sets(st.sampled_from("abcdefghijkl"), max_size=6), max_size=12))
def test_types_of_one_group_have_different_numbers(groups: list[set[str]]) -> None:
    """However groups overlap, no two members of a group have the same number."""
    numbers = assign_bits(groups)
    assert set(numbers) == set().union(*groups)
    for group in groups:
        assert len({numbers[name] for name in group}) == len(group)


def test_numbers_are_reused_between_groups() -> None:
    """Groups without common members use the same numbers."""
    assert set(assign_bits([["a", "b"], ["c", "d"], ["e", "f"]]).values()) == {0, 1}


def test_more_types_than_bits_are_refused() -> None:
    """63 types of one chain do not fit into 62 bits."""
    with pytest.raises(CatalogError, match="62 bits"):
        assign_bits([[f"t{n}" for n in range(63)]])
    chain = machine({f"s{n}": [f"s{n + 1}"] if n < 62 else [] for n in range(63)})
    assert "the chain has 63 event types, at most 62 are possible" in problems(replace(chain, max_steps=100))


def test_too_many_paths_are_refused() -> None:
    """Fourteen choices in a row leave 2^14 sets, more than the limit."""
    ways = {f"{side}{n}": [f"a{n + 1}", f"b{n + 1}"] for n in range(14) for side in "ab"} | {"a14": [], "b14": []}
    chain = machine(ways | {"s0": ["a0", "b0"]})
    with pytest.raises(TooManyPaths, match="machine leave more than 10,000 different sets of event types"):
        accepted_sets(chain)
    assert [text for text in problems(chain) if "10,000" in text]


def test_roles_of_the_shipped_types() -> None:
    """The type alone says which chain an event starts, and how one ends."""
    facts = DEFAULT.conformance
    assert [facts.classify(name) for name in (ROUTING, ROUTED, STARTED, DONE, FAILED)] == [
        ("agent-execution", role) for role in (Role.REQUESTED, Role.STEP, Role.STARTED, Role.COMPLETED, Role.FAILED)
    ]
    assert facts.classify("a.b.c.v1") == (None, Role.STEP)
    assert facts.classify("omninode.metadata.stamping.stamped.v1") == ("metadata-stamping", Role.COMPLETED)
    assert facts.classify("omninode.pattern.discovered.v1") == ("pattern-discovery", Role.STEP)


def test_a_type_of_two_chains_belongs_to_neither() -> None:
    """A step that two chains share does not identify the chain."""
    first = machine({"s0": ["mid"], "mid": ["end"], "end": []}, types={"mid": "a.b.shared.v1"})
    second = replace(
        machine({"z0": ["mid"], "mid": ["zend"], "zend": []}, start="z0", types={"mid": "a.b.shared.v1"}), name="other"
    )
    facts = Conformance(Catalog(events={}, chains={"machine": first, "other": second}))
    assert facts.classify("a.b.shared.v1") == (None, Role.STEP)
    assert facts.classify("a.b.z0.v1") == ("other", Role.REQUESTED)
    assert len({facts.type_bits[name] for name in types_of(second)}) == 3


def test_masks_of_the_agent_chain() -> None:
    """Two complete paths: completed or failed, never both."""
    facts = DEFAULT.conformance
    way = [ROUTING, ROUTED, STARTED]
    assert facts.accepted["agent-execution"] == {facts.mask([*way, DONE]), facts.mask([*way, FAILED])}
    assert facts.mask([*way, DONE, FAILED]) not in facts.accepted["agent-execution"]
    assert facts.mask(["a.b.c.v1"]) == 0


def test_a_loop_is_accepted_however_often_it_runs() -> None:
    """Sets, not counts: one pattern found or a hundred leave the same mask."""
    assert len(DEFAULT.conformance.accepted["pattern-discovery"]) == 1


@pytest.mark.parametrize(
    ("seen", "ended", "said"),
    [
        ([ROUTING, ROUTED, STARTED, DONE], True, []),
        ([ROUTING, ROUTED, STARTED, FAILED], True, []),
        ([ROUTING, ROUTED, DONE], True, [f"{STARTED} is missing: it is expected after {ROUTED}"]),
        ([ROUTED, STARTED, DONE], True, [f"{ROUTING} is missing: it starts the chain"]),
        (
            [ROUTING, ROUTED, STARTED, DONE, FAILED],
            True,
            [f"{FAILED} cannot occur together with the other events"],
        ),
        ([ROUTING, ROUTED, STARTED, DONE, "a.b.c.v1"], True, ["a.b.c.v1 does not belong to agent-execution"]),
        ([ROUTING], False, [f"not ended yet: {ROUTED} may come next"]),
        ([ROUTING, ROUTED, STARTED], False, [f"not ended yet: {DONE} or {FAILED} may come next"]),
        (
            [ROUTING, STARTED],
            False,
            [
                f"{ROUTED} is missing: it is expected after {ROUTING}",
                f"not ended yet: {DONE} or {FAILED} may come next",
            ],
        ),
    ],
)
def test_what_is_said_about_a_chain(seen: list[str], ended: bool, said: list[str]) -> None:
    """Each missing and each unexpected event has its sentence, compared with the most similar path."""
    assert DEFAULT.conformance.explain("agent-execution", seen, ended) == said


@given(machines(), st.data())
def test_only_accepted_chains_have_no_differences(chain: Chain, data: st.DataObject) -> None:
    """An empty explanation means conformance, and only that."""
    accepted = accepted_sets(chain)
    facts = Conformance(Catalog(events={}, chains={"machine": chain}))
    assume(accepted)
    seen = data.draw(
        st.one_of(st.frozensets(st.sampled_from(types_of(chain))), st.sampled_from(sorted(accepted, key=sorted)))
    )
    assert (facts.explain("machine", seen, True) == []) == (seen in accepted)
    assert (facts.mask(seen) in facts.accepted["machine"]) == (seen in accepted)
