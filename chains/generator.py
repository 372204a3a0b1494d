"""`ChainGenerator`: correlated event chains from a catalog and a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from eventbus.bus import EventBus, TopicStrategy
from eventbus.catalog import Catalog, Scenario
from eventbus.catalog.model import Arrivals as Model
from eventbus.catalog.model import Fault, Outcome, Phase, Tenants
from eventbus.chains.arrivals.closed import ClosedArrivals
from eventbus.chains.arrivals.open import OpenArrivals, compile_arrivals, compile_paced_arrivals, poisson
from eventbus.chains.errors import ImpossibleChain, InvalidSetting
from eventbus.chains.faults.inject import Injector
from eventbus.chains.faults.ledger import Ledger
from eventbus.chains.faults.select import by_precedence
from eventbus.chains.pacing.statistics import RunStatistics
from eventbus.chains.pacing.summary import RunSummary
from eventbus.chains.plan import Plan, checked_phases, emitter_infos
from eventbus.chains.randomness import purpose
from eventbus.chains.rendering import JSON, Format
from eventbus.chains.rendering.block import EPOCH, Block, decoded
from eventbus.chains.rendering.fixed import Envelope, Tenancy
from eventbus.chains.stream import ChainStream, Explanation, Extent, explain
from eventbus.chains.workers import in_parallel
from eventbus.event import DEFAULT_NAMESPACE, DEFAULT_TENANT, Event, microseconds
from eventbus.record import ProducerRecord

if TYPE_CHECKING:
    from eventbus.chains.clock import AsyncClock
    from eventbus.chains.pacing.observers import Observer
    from eventbus.chains.pacing.pacer import OnProgress, Pacer

START = datetime(2026, 1, 1, tzinfo=UTC)
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Virtual time is counted in nanoseconds since 1970, of which 63 bits hold 292 years."""


class ChainGenerator:
    """Makes events in virtual time: it never waits, and the same seed and arguments give the same bytes everywhere.

    Args:
        catalog: what exists; chains begin in proportion to their weights. None: the shipped catalog.
        seed: names the run; everything random follows from it.
        start: when virtual time begins.
        rate: chains per second of virtual time, on average and independent of each other (Poisson).
        arrivals: when chains begin, instead of `rate`.
        tenant_id: of all events.
        tenants: several, instead of `tenant_id`: each chain is of one of them.
        namespace: of all events.
        phases: when chains fail more often, or take longer; in the order of time.
        block: chains worked on together: changes speed and memory, never a byte. None: what suits the rate.

    Raises:
        NothingToGenerate: every chain of the catalog has a weight of 0.
        ImpossibleChain: a chain of the catalog cannot end within its `max_steps`.
        InvalidSetting: an argument is out of range.
    """

    def __init__(
        self,
        catalog: Catalog | None = None,
        *,
        seed: int = 0,
        start: datetime = START,
        rate: float = 10.0,
        arrivals: Model | None = None,
        tenant_id: str = DEFAULT_TENANT,
        tenants: Tenants | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        phases: Sequence[Phase] = (),
        block: int | None = None,
    ) -> None:
        if start.tzinfo is None or not EARLIEST <= start < LATEST:
            raise InvalidSetting(f"expected a start with a time zone, from 1970 to 2199, got {start}")
        if block is not None and block < 1:
            raise InvalidSetting(f"expected a block of at least 1 chain, got {block}")
        self.catalog = Catalog.default() if catalog is None else catalog
        self.seed = seed
        self.start = start.astimezone(UTC)
        #: When chains begin, where that is no constant rate.
        self.arrivals = arrivals
        self._arrivals = (
            poisson(rate) if arrivals is None else compile_arrivals(arrivals, microseconds(self.start) * 1000)
        )
        self._envelope = Envelope(tenant_id, namespace, None if tenants is None else Tenancy(tenants))
        self._block = block
        self._root = purpose(f"seed:{seed}")
        self._phases = checked_phases(phases, self.catalog)
        self._plan = Plan(self.catalog, self._envelope, phases=self._phases)
        self._plans: dict[Format, Plan] = {JSON: self._plan}
        self._single: dict[tuple[str | None, Outcome | None], ChainStream] = {}
        self._made = 0
        self._pacer: Pacer | None = None
        self._stage: Injector | None = None
        self._paced: ChainStream | None = None

    @classmethod
    def from_scenario(cls, scenario: Scenario | str | Path, **settings: Any) -> ChainGenerator:
        """The generator of a scenario: of its catalog, its arrivals and phases, and its seed if it has one.

        Args:
            scenario: itself, its name, or its file.
            settings: as for a generator; they win over the scenario's.

        Raises:
            UnknownName: there is no such scenario.
            InvalidScenario: its file has mistakes.
            InvalidSetting: as for a generator.
        """
        chosen = scenario if isinstance(scenario, Scenario) else Scenario.load(scenario)
        arrivals = None if "rate" in settings else chosen.arrivals
        said = {"catalog": chosen.catalog, "arrivals": arrivals, "phases": chosen.phases}
        seed = {} if chosen.seed is None else {"seed": chosen.seed}
        return cls(**(said | seed | settings))

    def blocks(
        self,
        chains: int | None = None,
        duration: float | None = None,
        *,
        workers: int = 1,
        format: Format = JSON,
    ) -> Iterator[Block]:
        """All events by time, as text in blocks of memory; every chain runs to its end.

        The memory of a block is used again: consume it before asking for the next. A second call begins anew.

        Args:
            chains: how many; None: no bound.
            duration: seconds of virtual time in which chains begin; None: no bound.
            workers: processes that make the events: changes the speed, never a byte.
            format: the form of the events, one of `chains.rendering`.

        Raises:
            InvalidSetting: an argument is out of range.
            WorkerDied: a worker process ended before its work did.
        """
        return self.window(chains=chains, duration=duration, workers=workers, format=format)

    def window(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        chains: int | None = None,
        duration: float | None = None,
        workers: int = 1,
        format: Format = JSON,
    ) -> Iterator[Block]:
        """The events of a stretch of time, exactly as in the run, without making what came before it.

        Args:
            since: no earlier event; None: from the beginning.
            until: only earlier events; None: to the end of the run.
            chains: how many the run has; None: no bound.
            duration: seconds of virtual time in which chains of the run begin; None: no bound.
            workers, format: as for `blocks`.

        Raises:
            InvalidSetting: a time has no zone, or a number is out of range.
            WorkerDied: as for `blocks`.
        """
        extent = Extent(chains, duration, _instant(since), _instant(until))
        return in_parallel(self._stream(self._plan_for(format)), extent, workers)

    def alone(self, index: int, *, format: Format = JSON) -> Block:
        """One chain, exactly as in the run, and nothing else.

        Args:
            index: of the chain, from 0.
            format: as for `blocks`.

        Raises:
            InvalidSetting: the index is negative, or the arrivals end before it.
        """
        return self._stream(self._plan_for(format)).one(_at_least_0(index))

    def explain(self, event_id: str) -> Explanation:
        """Where an event of the run comes from: its chain, its step, and the whole chain.

        Raises:
            InvalidSetting: this is no UUID of version 7.
            UnknownEvent: the run has no such event.
        """
        return explain(self._kept(None, None), event_id)

    def injector(self, faults: Sequence[Fault] = (), ledger: BinaryIO | None = None) -> Injector:
        """A stage that injects faults into this run's blocks; the clean events stay what they are.

        Args:
            faults: in any order; without any, the events only pass by the ledger.
            ledger: where to write what was meant to happen and what was done to it, as JSON lines.

        Raises:
            InvalidSetting: a fault's scope has no event that it could strike.
        """
        return self._injector(faults, ledger, self.start)

    def lines(self, chains: int | None = None, duration: float | None = None) -> Iterator[list[bytes]]:
        """The same events as lists of JSON texts (arguments: see `blocks`)."""
        for block in self.blocks(chains, duration):
            yield from block.lines()

    def records(
        self,
        chains: int | None = None,
        duration: float | None = None,
        *,
        topic_strategy: TopicStrategy = "domain",
        format: Format = JSON,
    ) -> Iterator[list[ProducerRecord]]:
        """The same events as lists of Kafka records (arguments: see `blocks`)."""
        names = self._plan.topics(topic_strategy)
        for block in self.blocks(chains, duration, format=format):
            yield from block.records(names)

    def events(self, chains: int | None = None, duration: float | None = None) -> Iterator[Event]:
        """The same events as objects (arguments: see `blocks`)."""
        for lines in self.lines(chains, duration):
            yield from decoded(lines)

    def chain(
        self, name: str | None = None, *, outcome: Outcome | None = None, index: int | None = None
    ) -> list[Event]:
        """One whole chain.

        Successive calls give successive chains of the run, made to be of the kind asked for: without a name and an
        outcome, call n gives exactly chain n.

        Args:
            name: of the chain; None: one of those that the weights allow.
            outcome: how it ends; None: as the weights say.
            index: give this chain of the run, and leave the succession as it is.

        Raises:
            UnknownName: the catalog has no such chain.
            ImpossibleChain: the chain cannot end like this.
        """
        stream = self._kept(name, outcome)
        if index is None:
            index, self._made = self._made, self._made + 1
        _at_least_0(index)
        return [event for lines in stream.one(index).lines() for event in decoded(lines)]

    async def run(
        self,
        bus: EventBus,
        *,
        initial_chains: int | None = None,
        interval: float = 5.0,
        rate: float | None = None,
        arrivals: Model | None = None,
        duration: float | None = None,
        speed: float = 1.0,
        topic_strategy: TopicStrategy = "domain",
        max_lag: float | None = None,
        late_after: float = 0.1,
        clock: AsyncClock | None = None,
        on_progress: OnProgress | None = None,
        start: datetime | None = None,
        observers: Sequence[Observer] = (),
        format: Format = JSON,
        faults: Sequence[Fault] = (),
        ledger: BinaryIO | None = None,
    ) -> RunStatistics:
        """Publish events from the present on, each when its time has come, until cancelled or done.

        The bus pushes back by making `publish_many` wait. Errors of the bus go to the caller. After cancellation,
        `statistics()` tells what was done.

        Args:
            bus: entered, and its topics created.
            initial_chains: begin at once. None: 20, or none where there are `arrivals`.
            interval: seconds between the beginnings of further chains.
            rate: further chains per second, on average and independent of each other, instead of `interval`.
            arrivals: when further chains begin, instead of `interval`. None: as the generator was told, if it was.
            duration: seconds in which chains begin; those in flight run to their end. None: until cancelled.
            speed: how many times faster than the clock, intervals, delays and durations alike; `math.inf`: no waiting.
            topic_strategy: how an event type finds its topic.
            max_lag: seconds; a chain that would begin later than this after its intended time is left out and
                counted as dropped. None: everything is done, however late.
            late_after: seconds after its intended time from which an event counts as late.
            clock: tells the time and waits. None: the machine's.
            on_progress: is given the figures, ten times a second at most, and at the end.
            start: virtual time of the beginning, which makes the run the same at any moment and any speed. None: now.
            observers: are told of everything that the bus has taken, such as a `census()` or a `Digest`.
            format: as for `blocks`; only that of JSON can have faults or a ledger.
            faults: as for `injector`; what they delay, or repeat, comes in its time.
            ledger: as for `injector`; it has what was published, also after a cancellation.

        Raises:
            InvalidSetting: an argument is out of range, or a fault's scope has no event that it could strike.
        """
        # imported here, so that making events never waits for the import of asyncio
        from eventbus.chains.clock import WallClock  # noqa: PLC0415
        from eventbus.chains.pacing.pacer import Pacer  # noqa: PLC0415

        if (faults or ledger) and format is not JSON:
            raise InvalidSetting("only JSON events can have faults or a ledger: convert the records behind them")
        clock = clock or WallClock()
        began = EPOCH + timedelta(microseconds=clock.time_us()) if start is None else start
        stage = self._injector(faults, ledger, began) if faults or ledger else None
        pacer = Pacer(
            self._plan,
            bus,
            clock,
            topic_strategy=topic_strategy,
            speed=speed,
            late_after=late_after,
            max_lag=max_lag,
            on_progress=on_progress,
            start=_instant(start),
            observers=observers,
            stage=stage,
        )
        model = arrivals or (self.arrivals if rate is None else None)
        begins = compile_paced_arrivals(
            model, pacer.start * 1000, initial_chains=initial_chains, interval=interval, rate=rate
        )
        # Blocks of a quarter of a second: made in a few milliseconds, in which nothing else runs. Chains that begin
        # at once are carried from block to block until all of them are made, so they should be few blocks.
        block = int(min(max(begins.rate * speed / 4, begins.at_once, 16), 4096))
        self._stage = stage
        self._pacer, self._paced = pacer, self._stream(self._plan_for(format), begins, pacer.start, block)
        await pacer.run(self._paced.blocks(Extent(duration=duration)))
        return pacer.statistics()

    def census(self) -> RunSummary:
        """One for this generator's events: an observer of `run`, or to be given the tables of blocks."""
        return RunSummary(emitter_infos(self._plan))

    def statistics(self) -> RunStatistics:
        """The figures of the run that is going on, or of the last one."""
        return self._pacer.statistics() if self._pacer else RunStatistics()

    def injected(self) -> Mapping[str, int]:
        """How many events each kind of fault has struck in the run that is going on, or in the last one."""
        return self._stage.injected if self._stage else {}

    def expected(self, since: datetime, until: datetime) -> float:
        """How many chains begin in a stretch of time on average: of the last paced run, or else of the virtual one.

        For users of the closed model, an estimate from how long some of their chains last.

        Raises:
            InvalidSetting: a time has no zone.
        """
        stream = self._paced or self._kept(None, None)
        return stream.expected(microseconds(_zoned(until))) - stream.expected(microseconds(_zoned(since)))

    def _injector(self, faults: Sequence[Fault], ledger: BinaryIO | None, start: datetime) -> Injector:
        known = emitter_infos(self._plan)
        run = {"seed": self.seed, "start": start, "faults": by_precedence(faults)}
        book = None if ledger is None else Ledger(ledger, known, run)
        return Injector(self.catalog, known, root=self._root, faults=faults, ledger=book)

    def _plan_for(self, format: Format) -> Plan:
        """The run's plan in another form, kept for the next call."""
        if format not in self._plans:
            self._plans[format] = Plan(self.catalog, self._envelope, phases=self._phases, format=format)
        return self._plans[format]

    def _kept(self, name: str | None, outcome: Outcome | None) -> ChainStream:
        """A stream for single chains, kept for the next one."""
        if (name, outcome) not in self._single:
            self._single[name, outcome] = self._stream(self._plan_of(name, outcome))
        return self._single[name, outcome]

    def _stream(
        self,
        plan: Plan,
        arrivals: OpenArrivals | ClosedArrivals | None = None,
        start: int | None = None,
        block: int | None = None,
    ) -> ChainStream:
        begin = microseconds(self.start) if start is None else start
        return ChainStream(
            plan, arrivals or self._arrivals, root=self._root, start=begin * 1000, block=block or self._block
        )

    def _plan_of(self, name: str | None, outcome: Outcome | None) -> Plan:
        if name is not None:
            return Plan(self.catalog.only(name), self._envelope, outcome=outcome, phases=self._phases)
        if outcome is None:
            return self._plan
        able = [
            chain.name
            for chain in self.catalog.weighted
            if outcome in {state.outcome for state in chain.states.values()}
        ]
        if not able:
            raise ImpossibleChain(f"no chain of the catalog that has a weight ever ends {outcome!r}")
        return Plan(self.catalog.only(*able), self._envelope, outcome=outcome, phases=self._phases)

    def __repr__(self) -> str:
        return (
            f"<ChainGenerator seed={self.seed} chains={len(self._plan.walkers)} start={self.start:%Y-%m-%dT%H:%M:%SZ}>"
        )


def _at_least_0(index: int) -> int:
    if index < 0:
        raise InvalidSetting(f"expected an index of at least 0, got {index}")
    return index


def _instant(time: datetime | None) -> int | None:
    """Microseconds since the Unix epoch."""
    return None if time is None else microseconds(_zoned(time))


def _zoned(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise InvalidSetting(f"expected a time with a zone, got {time}")
    return time
