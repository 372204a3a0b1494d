"""Catalogs of chains with forks, retries, timeouts, compensation, caused chains and slow items, drawn by hypothesis."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

from eventbus.catalog import (
    Catalog,
    Chain,
    Delay,
    EventType,
    Exponential,
    Fixed,
    LogNormal,
    State,
    Transition,
    Uniform,
    Variable,
)
from eventbus.catalog.model import Backoff, CausedChain, Fork, JoinRule, Retry, Target, Timeout
from tests.unit.chains.catalogs import catalog_of, ms
from tests.unit.chains.catalogs import field as payload_field

DELAYS: list[Delay] = [
    Fixed(value=0),
    Fixed(value=1),
    Fixed(value=700),
    Uniform(minimum=0, maximum=0),
    Uniform(minimum=3, maximum=5000),
    Exponential(mean=1),
    Exponential(mean=400, maximum=5000),
    LogNormal(median=1, p95=9, maximum=9e6),
    LogNormal(median=300, p95=400),
    LogNormal(median=900, p95=8100, maximum=9e6),
]
"""Few, whose tables are computed once; `catalogs.delays` draws any, and `test_chains_delays` tests them."""
delays = st.sampled_from(DELAYS)

FAR = 4000
"""Steps; no walk comes near."""

backoffs = st.builds(
    lambda initial, factor, top, jitter: Backoff(initial=initial, factor=factor, maximum=top, jitter=jitter),
    st.integers(0, 500),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([None, 700.0]),
    st.sampled_from([0.0, 0.2, 1.0]),
)


@dataclass
class Draft:
    """A chain that grows from its ends backwards."""

    draw: st.DrawFn
    name: str
    causes: tuple[str, ...] = ()
    states: dict[str, State] = field(default_factory=dict)

    def region(self, depth: int, *, inside: bool) -> tuple[str, list[str]]:
        """The first state of a walk, and its ends."""
        ends = [self.end(inside=inside) for _ in range(self.draw(st.integers(1, 2)))]
        first = ends[0]
        for _ in range(self.draw(st.integers(0 if inside else 1, 3))):
            first = self.state(first, ends[-1], depth)
        return first, ends

    def end(self, *, inside: bool) -> str:
        outcome = None if inside else self.draw(st.sampled_from(["completed", "failed"]))
        return self.add(outcome=outcome, compensation=self.compensation() if inside else None)

    def state(self, onward: str, end: str, depth: int) -> str:
        compensation = self.compensation()
        if depth and self.draw(st.booleans()):
            return self.add(fork=self.fork(onward, end, depth - 1), compensation=compensation)
        timeout = Timeout(after=self.draw(st.integers(1, 3000)), to=end) if self.draw(st.booleans()) else None
        name = f"s{len(self.states)}"  # the next to be added
        ways = [self.way(onward, by=timeout is None)]
        if self.draw(st.booleans()):
            ways.append(self.way(end, by=timeout is None))
        if self.draw(st.booleans()):
            ways.append(self.retry(name, end))
        abandon = self.draw(st.sampled_from([0.0, 0.0, 2.0]))
        return self.add(next=tuple(ways), timeout=timeout, abandon=abandon, compensation=compensation)

    def way(self, to: str, *, by: bool) -> Transition:
        delay, weight = self.draw(delays), self.draw(st.integers(1, 9))
        slow = self.draw(st.sampled_from([None, "thing", "tool"])) if by else None
        return Transition(to=to, delay=delay, weight=weight, compensate=self.draw(st.booleans()), scaled_by=slow)

    def retry(self, to: str, end: str) -> Transition:
        backoff = self.draw(st.one_of(st.none(), backoffs))
        otherwise = Target(to=end, delay=self.draw(delays), compensate=self.draw(st.booleans()))
        retry = Retry(limit=self.draw(st.integers(1, 2)), otherwise=otherwise, backoff=backoff)
        delay = backoff.delay(1) if backoff else self.draw(delays)
        return Transition(to=to, delay=delay, weight=self.draw(st.integers(1, 9)), retry=retry)

    def fork(self, onward: str, end: str, depth: int) -> Fork:
        regions = [self.region(depth, inside=True) for _ in range(self.draw(st.integers(2, 3)))]
        ended = self.draw(st.sampled_from([name for _, ends in regions for name in ends]))
        unless = JoinRule(
            ended=ended, target=Target(to=end, delay=self.draw(delays), compensate=self.draw(st.booleans()))
        )
        return Fork(
            branches=tuple(Target(to=first, delay=self.draw(delays)) for first, _ in regions),
            join=Target(to=onward, delay=self.draw(delays), compensate=self.draw(st.booleans())),
            unless=(unless,) if self.draw(st.booleans()) else (),
        )

    def compensation(self) -> Target | None:
        if not self.draw(st.sampled_from([False, False, True])):
            return None
        return Target(to=self.add(), delay=Fixed(value=self.draw(ms)))

    def add(self, **members: object) -> str:
        number = len(self.states)
        name = f"s{number}"
        causes = tuple(
            CausedChain(chain=one, delay=self.draw(delays), weight=self.draw(st.sampled_from([30.0, 100.0])))
            for one in self.causes
            if self.draw(st.booleans())
        )
        emits = f"test.{self.name}.s{number}.v1"
        self.states[name] = State(name=name, emits=emits, causes=causes, **members)  # type: ignore[arg-type]
        return name

    def chain(self, weight: float) -> Chain:
        start, _ = self.region(2, inside=False)
        return Chain(
            name=self.name,
            weight=weight,
            start=start,
            states=self.states,
            variables={
                "thing": Variable(name="thing", list="things", factor=2.5),
                "user": Variable(name="user", minimum=1, maximum=9, zipf=True),
                "tool": Variable(name="tool", list="tools", factor=4.0, per="user"),
            },
            max_steps=FAR,
        )


@st.composite
def topologies(draw: st.DrawFn) -> Catalog:
    """A chain of any shape, and maybe one that it causes; every event tells of attempts and delays."""
    child = Draft(draw, "child").chain(0) if draw(st.booleans()) else None
    parent = Draft(draw, "parent", causes=("child",) if child else ()).chain(1)
    chains = [parent, child] if child else [parent]
    fields = (
        payload_field("attempt", type="integer", attempt=True),
        payload_field("elapsed", type="integer", elapsed=True),
        payload_field("thing", var="thing"),
        payload_field("user", type="integer", var="user"),
        payload_field("tool", var="tool"),
    )
    events = tuple(
        EventType(name=state.emits, source="tester", payload=fields)
        for chain in chains
        for state in chain.states.values()
    )
    return catalog_of(*chains, events=events, lists={"things": ("tea", "cup", "pot"), "tools": ("saw", "axe")})
