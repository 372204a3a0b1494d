"""What happens in a chain, told event by event from its description alone: the slow and obvious way of walking."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from eventbus.catalog import Catalog, Chain, Delay, Fixed, LogNormal, State, Transition, Uniform
from eventbus.catalog.graph.expand import graph_of
from eventbus.catalog.model import Fork, Target
from tests.unit.chains.draws import Randomness, drawn_delay, quantile
from tests.unit.chains.variables import drawn


class Step(NamedTuple):
    """One event, before its text."""

    chain: Chain
    state: str
    time: int
    number: int
    delay: int = 0
    cause: int | None = None
    retries: int = 0
    depth: int = 0
    """Events of the chain before it, where one follows another."""
    lanes: int = 1
    """What a step counts for: branches that run side by side number theirs in turns."""
    trigger: int = 0
    """What triggered the chain; 0: nothing."""


@dataclass
class Memory:
    """What a walk, or the walk of one branch, has done so far."""

    taken: dict[tuple[str, int], int] = field(default_factory=dict)
    """How often each retry was taken."""
    done: list[str] = field(default_factory=list)
    """States that can be undone."""


class End(NamedTuple):
    """The end of a branch."""

    step: Step
    memory: Memory


class Draft(NamedTuple):
    """A way that may be taken."""

    weight: float
    way: Target
    retry: tuple[str, int] | None = None
    by: str | None = None


class Story:
    """All events of one chain and of those that it causes.

    Bounds on the number of events are kept in chains without forks and retries only; others are to stay far from them.
    """

    def __init__(self, catalog: Catalog, random: Randomness) -> None:
        self.catalog, self.random = catalog, random
        self.steps: list[Step] = []

    def told(self, chain: Chain, began: int) -> list[Step]:
        self.go(Step(chain, chain.start, began, 0), Memory())
        children = [child for step in self.steps for child in self.children(step)]
        for child in children:
            self.go(child, Memory())
        return sorted(self.steps, key=lambda step: step.number)

    def go(self, step: Step, memory: Memory) -> End | None:
        """Walks on from an event to the end of its branch; None when the walk was abandoned."""
        while True:
            self.steps.append(step)
            state = step.chain.states[step.state]
            if state.compensation:
                memory.done = [*(name for name in memory.done if name != state.name), state.name]
            if state.fork:
                following = self.fork(step, state.fork, memory)
            elif state.next:
                following = self.next(step, state, memory)
            else:
                return End(step, memory)
            if following is None:
                return None
            step = following

    def next(self, step: Step, state: State, memory: Memory) -> Step | None:
        drafts = [draft for draft in self.drafts(step, state, memory) if draft.weight > 0]
        weights = [draft.weight for draft in drafts] + ([state.abandon] if state.abandon else [])
        number = self.random.among(weights, "next", step.chain.name, state.name, step=step.number)
        if number == len(drafts):
            return None
        draft = drafts[number]
        if draft.retry:
            memory.taken[draft.retry] = memory.taken.get(draft.retry, 0) + 1
        step = step._replace(retries=step.retries + (draft.retry is not None))
        return self.follow(step, draft.way, memory, step.number + step.lanes, draft.by)

    def drafts(self, step: Step, state: State, memory: Memory) -> list[Draft]:
        drafts = [self.draft(state, n, t, memory) for n, t in enumerate(state.next) if fits(step, t)]
        if state.timeout is None:
            return drafts
        after, late, timely = state.timeout.after, 0.0, []
        for draft in drafts:
            undone = state_to_undo(step.chain, memory) if draft.way.compensate else None
            share, delay = in_time(undone.delay if undone else draft.way.delay, after)
            late += draft.weight * (1 - share)
            way = draft.way if undone else replace(draft.way, delay=delay)
            timely.append(draft._replace(weight=draft.weight * share, way=way))
        return [*timely, Draft(late, Target(to=state.timeout.to, delay=Fixed(value=after)))]

    def draft(self, state: State, number: int, one: Transition, memory: Memory) -> Draft:
        way = Target(to=one.to, delay=one.delay, compensate=one.compensate)
        if one.retry is None:
            return Draft(one.weight, way, by=one.scaled_by)
        key = state.name, number
        count = memory.taken.get(key, 0)
        if count == one.retry.limit:
            return Draft(one.weight, one.retry.otherwise)
        if one.retry.backoff:
            back = one.retry.backoff
            length = min(back.initial * back.factor**count, float("inf") if back.maximum is None else back.maximum)
            spread = Uniform(minimum=length * (1 - back.jitter), maximum=length * (1 + back.jitter))
            delay: Delay = spread if back.jitter else Fixed(value=length)
            way = Target(to=one.to, delay=delay, compensate=one.compensate)
        return Draft(one.weight, way, key, one.scaled_by)

    def follow(self, step: Step, way: Target, memory: Memory, number: int, by: str | None = None) -> Step:
        """The event that a way leads to, after what it undoes; the number is that of the first of them."""
        while way.compensate and memory.done:
            undone = state_to_undo(step.chain, memory)
            memory.done.pop()
            assert undone
            step = self.effect(step, undone.to, undone.delay, number)
            self.steps.append(step)
            number = step.number + step.lanes
        return self.effect(step, way.to, way.delay, number, by)

    def effect(self, step: Step, to: str, delay: Delay, number: int, by: str | None = None) -> Step:
        word = self.random.word("delay", step.chain.name, step.state, to, step=step.number)
        waited = drawn_delay(delay, word)
        if by:
            waited = waited * self.factor(step, by) >> 16
        return step._replace(
            state=to, time=step.time + waited, number=number, delay=waited, cause=step.number, depth=step.depth + 1
        )

    def factor(self, step: Step, by: str) -> int:
        variable = step.chain.variables[by]
        assert variable.list
        assert variable.factor
        item = drawn(self.catalog, step.chain, self.random, by, step.trigger)
        word = Randomness(self.random.root, 0).word("factor", variable.list, step=item)
        return drawn_delay(LogNormal(median=1, p95=variable.factor), word, unit=1 << 16)

    def fork(self, step: Step, fork: Fork, memory: Memory) -> Step | None:
        ends = []
        for number, way in enumerate(fork.branches, 1):
            first = self.effect(step, way.to, way.delay, step.number + step.lanes * number)
            first = first._replace(lanes=step.lanes * len(fork.branches))
            ends.append(self.go(first, Memory(dict(memory.taken))))
        found = [end for end in ends if end]
        if len(found) < len(ends):
            return None
        last = max((end.step for end in found), key=lambda one: (one.time, one.number))
        states = {end.step.state for end in found}
        way = next((one.target for one in fork.unless if one.ended in states), fork.join)
        for end in found:
            memory.taken |= {key: n for key, n in end.memory.taken.items() if n > memory.taken.get(key, 0)}
            memory.done += end.memory.done
        retries = step.retries + sum(end.step.retries - step.retries for end in found)
        highest = max(end.step.number for end in found)
        last = last._replace(state=step.state, retries=retries, lanes=step.lanes)
        return self.follow(last, way, memory, highest + step.lanes)

    def children(self, step: Step) -> list[Step]:
        found, chain = [], step.chain
        family = [chain, *(self.catalog.chains[name] for name in chain.caused)]
        most = max(len(state.causes) for state in chain.states.values())
        bits = max(one.max_steps * max(node.fan_out for node in graph_of(one).nodes) for one in family).bit_length()
        for number, one in enumerate(chain.states[step.state].causes):
            names = chain.name, step.state, one.chain
            if self.random.word("cause", *names, step=step.number) >> 32 < round(one.weight / 100 * 2**32):
                child = self.catalog.chains[one.chain]
                delay = drawn_delay(one.delay, self.random.word("cause-delay", *names, step=step.number))
                trigger = step.number * most + number + 1
                first = trigger << bits
                found.append(Step(child, child.start, step.time + delay, first, delay, step.number, trigger=trigger))
        return found


def state_to_undo(chain: Chain, memory: Memory) -> Target | None:
    """The compensation that comes next, of a fixed delay."""
    return chain.states[memory.done[-1]].compensation if memory.done else None


def fits(step: Step, way: Transition) -> bool:
    """Whether the end can still be reached in time; only looked at where nothing but transitions leads on."""
    chain = step.chain
    return not is_simple(chain) or fewest(chain, way.to) <= chain.max_steps - step.depth - 2


def is_simple(chain: Chain) -> bool:
    states = chain.states.values()
    return not any(s.fork or s.timeout or s.compensation or any(t.retry for t in s.next) for s in states)


def fewest(chain: Chain, state: str) -> int:
    """Fewest transitions to the end, by trying ever more."""
    reachable = {state}
    for count in range(len(chain.states) + 1):
        if any(not chain.states[name].next for name in reachable):
            return count
        reachable |= {t.to for name in reachable for t in chain.states[name].next if t.weight > 0}
    return 1 << 30


def in_time(delay: Delay, after: float) -> tuple[float, Delay]:
    """The share of a delay that is at most so long, found by halving, and that part of it."""
    if isinstance(delay, Fixed):
        return float(delay.value <= after), delay
    if delay.maximum is not None and delay.maximum <= after:
        return 1.0, delay
    if delay.minimum >= after:
        return 0.0, delay
    q, low, high = quantile(delay), 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if q(middle) <= after else (low, middle)
    return low, replace(delay, maximum=after)
