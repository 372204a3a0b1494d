"""`ChainGenerator`: correlated event chains from a catalog and a seed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain as flatten
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from eventbus.bus import EventBus, TopicStrategy
from eventbus.catalog import Catalog, Scenario
from eventbus.catalog.errors import join_names
from eventbus.catalog.model import Arrivals as Model
from eventbus.catalog.model import ClosedWorkload, Fault, Outcome, Phase, Tenants
from eventbus.catalog.model.workload import AT_END, AtEnd
from eventbus.chains.arrivals.compile import (
    INITIAL_CHAINS,
    compile_arrivals,
    compile_paced_arrivals,
    poisson,
)
from eventbus.chains.arrivals.process import ClosedArrivals, OpenArrivals
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.faults.inject import Injector
from eventbus.chains.faults.ledger import Ledger
from eventbus.chains.faults.record import RunRecord
from eventbus.chains.faults.select import by_precedence
from eventbus.chains.pacing.statistics import RunStatistics
from eventbus.chains.pacing.summary import RunSummary
from eventbus.chains.plan import Plan, Plans, checked_phases, emitter_infos
from eventbus.chains.randomness import purpose
from eventbus.chains.rendering import JSON, Format
from eventbus.chains.rendering.block import Block, decoded
from eventbus.chains.rendering.fixed import Envelope, Tenancy
from eventbus.chains.stream import ChainStream, Explanation, Extent, explain
from eventbus.chains.workers import in_parallel
from eventbus.event import DEFAULT_NAMESPACE, DEFAULT_TENANT, EPOCH, Event, microseconds
from eventbus.record import ProducerRecord

if TYPE_CHECKING:
    from eventbus.chains.clock import AsyncClock
    from eventbus.chains.pacing.observers import Observer
    from eventbus.chains.pacing.pacer import OnProgress, Pacer

START = datetime(2026, 1, 1, tzinfo=UTC)
DEFAULT_RATE = 10.0
"""Chains per second of a virtual run, where nothing else says when they begin."""
INTERVAL = 5.0
"""Seconds between the beginnings of chains in a paced run, where nothing else says when they begin."""
ESTIMATE_ROOT = purpose("seed", "throughput")
"""The random key of the sessions from which the throughput of users is estimated: the same in every run."""
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Bounds of `start`: virtual time is counted in nanoseconds since 1970, and 63 bits hold 292 years."""


class PacedRun(Protocol):
    """A run in the background (see `ChainGenerator.running`)."""

    def stop(self) -> None:
        """Ends the run at once, open sessions included (see `ChainGenerator.stop`)."""
        ...

    def statistics(self) -> RunStatistics:
        """The current figures; after the end of the run, its final ones."""
        ...


class ChainGenerator:
    """Generates correlated event chains in virtual time; the same seed and arguments give the same bytes everywhere.

    Args:
        catalog: the chains and their events; chains begin in proportion to their weights. None: the shipped catalog.
        seed: identifies the run; all random draws follow from it.
        start: when virtual time begins.
        rate: chains per second, as a Poisson process. None: 10, or as `arrivals` say.
        arrivals: when chains begin, instead of `rate`.
        tenant_id: of all events. None: `default-tenant`, or one of `tenants`.
        tenants: several tenants instead of `tenant_id`; each chain belongs to one of them.
        namespace: of all events.
        phases: periods in which chains fail more often or take longer, in order.
        at_end: what happens to chains that are under way at the end of a duration: `end` ends sessions, whose open page
            is closed, and lets other chains run to their end; `finish` lets all of them do so; `cut` breaks off all.
        events_per_second: what the users of a closed workload make together: all times of visitors are divided by the
            factor that gives this rate. None: as many as come of their behaviour.
        block: chains in a batch; affects speed and memory, not the events. None: depends on the rate.

    Raises:
        NothingToGenerate: every chain of the catalog has a weight of 0.
        ImpossibleChain: a chain of the catalog cannot end within its `max_steps`.
        InvalidSetting: an argument is out of range, or two contradict each other.
    """

    def __init__(
        self,
        catalog: Catalog | None = None,
        *,
        seed: int = 0,
        start: datetime = START,
        rate: float | None = None,
        arrivals: Model | None = None,
        tenant_id: str | None = None,
        tenants: Tenants | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        phases: Sequence[Phase] = (),
        at_end: AtEnd = "finish",
        events_per_second: float | None = None,
        block: int | None = None,
    ) -> None:
        _refuse_both(rate=rate, arrivals=arrivals)
        _refuse_both(tenant_id=tenant_id, tenants=tenants)
        if start.tzinfo is None or not EARLIEST <= start < LATEST:
            raise InvalidSetting(f"expected a start with a time zone, from 1970 to 2199, got {start}")
        if at_end not in AT_END:
            raise InvalidSetting(f"expected at_end to be one of {join_names(AT_END)}, got {at_end!r}")
        if "" in (tenant_id, namespace):
            raise InvalidSetting("expected a tenant_id and a namespace of at least one character")
        if block is not None and block < 1:
            raise InvalidSetting(f"expected a block of at least 1 chain, got {block}")
        self.catalog = Catalog.default() if catalog is None else catalog
        self.seed = seed
        self.start = start.astimezone(UTC)
        #: When chains begin; None: a Poisson process with a constant rate.
        self.arrivals = arrivals
        #: Of that process; None: nothing was said, so that it is `DEFAULT_RATE` in virtual time.
        self._rate = rate
        tenant_id = DEFAULT_TENANT if tenant_id is None else tenant_id
        self._tenancy: dict[str, Any] = {"tenant_id": tenant_id, "tenants": tenants, "namespace": namespace}
        self._envelope = Envelope(tenant_id, namespace, None if tenants is None else Tenancy(tenants))
        self.at_end = at_end
        self._block = block
        self._root = purpose("seed", str(seed))
        self._phases = checked_phases(phases, self.catalog)
        scaled_catalog = self.catalog
        #: The arrivals, with the times between sessions scaled as those of visitors.
        self._model = arrivals
        self.events_per_second = events_per_second
        if events_per_second is not None:
            from eventbus.chains.throughput import scaled  # noqa: PLC0415 - rarely needed

            scaled_catalog, self._model = scaled(self.catalog, arrivals, events_per_second, self._throughput)
        self._arrivals = self._virtual_arrivals()
        self._plans = Plans(scaled_catalog, self._envelope, self._phases)
        self._plan = self._plans.of(self._arrivals)
        self._single: dict[tuple[str | None, Outcome | None], ChainStream] = {}
        self._made = 0
        self._pacer: Pacer | None = None
        self._run_injector: Injector | None = None
        #: Of a run that is repeated, what its record says besides the arguments of the constructor.
        self._like: dict[str, Any] | None = None
        #: When the sessions of such a run ended because it was stopped, microseconds since the Unix epoch.
        self._stopped_at: int | None = None
        self._paced: ChainStream | None = None

    @classmethod
    def from_scenario(cls, scenario: Scenario | str | Path, **settings: Any) -> ChainGenerator:
        """A generator with the catalog, arrivals, phases and seed of a scenario.

        Args:
            scenario: a scenario, its name, or its file.
            settings: arguments of the generator; they override those of the scenario.

        Raises:
            UnknownName: there is no such scenario.
            InvalidScenario: the file has mistakes.
            InvalidSetting: as for a generator.
        """
        chosen = scenario if isinstance(scenario, Scenario) else Scenario.load(scenario)
        arrivals = None if "rate" in settings else chosen.arrivals
        defaults = {
            "catalog": chosen.catalog,
            "arrivals": arrivals,
            "phases": chosen.phases,
            "at_end": chosen.at_end,
            "events_per_second": None if {"rate", "arrivals"} & settings.keys() else chosen.events_per_second,
        }
        seed = {} if chosen.seed is None else {"seed": chosen.seed}
        return cls(**(defaults | seed | settings))

    @classmethod
    def like(cls, record: RunRecord, catalog: Catalog, stopped_at: datetime | None = None) -> ChainGenerator:
        """The generator of a recorded run, in virtual time also if that was paced (see `repeat.RepeatedRun`).

        Args:
            catalog: that of the run.
            stopped_at: when the sessions of the run ended because it was stopped.

        Raises:
            InvalidSetting: as for a generator.
        """
        generator = cls(
            catalog,
            seed=record.seed,
            start=record.start,
            arrivals=record.arrivals,
            tenant_id=None if record.tenants else record.tenant_id,
            tenants=record.tenants,
            namespace=record.namespace,
            phases=record.phases,
            at_end=record.at_end,
            events_per_second=record.events_per_second,
            rate=record.rate,
        )
        generator._like = record.run
        generator._stopped_at = _instant(stopped_at)
        if record.speed is not None:
            generator._arrivals = compile_paced_arrivals(
                start=microseconds(generator.start) * 1000,
                arrivals=generator._model,
                rate=record.rate,
                interval=record.interval,
                initial_chains=record.initial_chains or 0,
            )
            generator._plan = generator._plans.of(generator._arrivals)
        return generator

    def blocks(
        self,
        chains: int | None = None,
        duration: float | None = None,
        *,
        workers: int = 1,
        format: Format = JSON,
    ) -> Iterator[Block]:
        """All events in the order of time, rendered in blocks.

        The memory of a block is reused: consume a block before asking for the next one. Each call begins a new run.

        Args:
            chains: how many; None: no bound.
            duration: seconds of virtual time, at whose end `at_end` applies; None: no bound.
            workers: processes that generate the events; the bytes do not depend on their number.
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
        """The events in a window of time, exactly as in the run, without generating the chains that are over before it.

        Args:
            since: no earlier event; None: from the beginning.
            until: only earlier events; None: to the end of the run.
            chains: how many the run has; None: no bound.
            duration: as for `blocks`, of the run.
            workers, format: as for `blocks`.

        Raises:
            InvalidSetting: a time has no zone, or a number is out of range.
            WorkerDied: as for `blocks`.
        """
        extent = self._extent(chains, duration, since, until)
        return in_parallel(self._stream(self._plans.of(self._arrivals, format)), extent, workers)

    def alone(self, index: int, *, duration: float | None = None, format: Format = JSON) -> Block:
        """The events of a single chain, exactly as in the run.

        Args:
            index: of the chain, from 0.
            duration: of the run, whose end may have ended the chain; None: no bound.
            format: as for `blocks`.

        Raises:
            InvalidSetting: the index is negative, or the arrivals or the run end before it.
        """
        stream = self._stream(self._plans.of(self._arrivals, format))
        return stream.chain(_at_least_0(index), Extent(duration=duration, at_end=self.at_end))

    def explain(self, event_id: str, duration: float | None = None) -> Explanation:
        """The origin of an event of the run: its chain, its step, and all events of the chain.

        Args:
            event_id: of the event.
            duration: of the run, whose end may have ended the chain; None: no bound.

        Raises:
            InvalidSetting: the id is not a UUID of version 7.
            UnknownEvent: the run has no such event.
        """
        return explain(self._kept(None, None), event_id, Extent(duration=duration, at_end=self.at_end))

    def injector(
        self,
        faults: Sequence[Fault] = (),
        ledger: BinaryIO | None = None,
        *,
        chains: int | None = None,
        duration: float | None = None,
    ) -> Injector:
        """An injector of faults for the blocks of this run; the clean events do not change.

        Args:
            faults: in any order; without faults, the ledger records the clean events.
            ledger: receives the intended chains and the injected faults, as JSON lines.
            chains, duration: bounds of the run, as for `blocks`, for the ledger's record of it. Without them, the run
                is repeated as far as it came.

        Raises:
            InvalidSetting: a fault applies to no event of the run.
        """
        if self._like is not None:
            return self._injector(faults, ledger, **self._like)
        rate = (DEFAULT_RATE if self._rate is None else self._rate) if self.arrivals is None else None
        arrivals = {"rate": rate, "arrivals": self.arrivals}
        return self._injector(faults, ledger, start=self.start, chains=chains, duration=duration, **arrivals)

    def lines(self, chains: int | None = None, duration: float | None = None) -> Iterator[list[bytes]]:
        """The events of `blocks` as lists of JSON texts."""
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
        """The events of `blocks` as lists of Kafka records."""
        names = self._plan.topics(topic_strategy)
        for block in self.blocks(chains, duration, format=format):
            yield from block.records(names)

    def events(self, chains: int | None = None, duration: float | None = None) -> Iterator[Event]:
        """The events of `blocks` as objects."""
        return flatten.from_iterable(self._stream(self._plan).events(self._extent(chains, duration)))

    def chain(
        self, name: str | None = None, *, outcome: Outcome | None = None, index: int | None = None
    ) -> list[Event]:
        """All events of one chain.

        Successive calls return successive chains. Without a name and an outcome, call n returns exactly chain n of the
        run; otherwise it returns the chain that has the index n in a run of such chains only.

        Args:
            name: of the chain; None: drawn by the weights.
            outcome: how the chain ends; None: drawn by the weights.
            index: return the chain with this index, without advancing the succession.

        Raises:
            UnknownName: the catalog has no such chain.
            ImpossibleChain: the chain cannot end like this.
        """
        stream = self._kept(name, outcome)
        if index is None:
            index, self._made = self._made, self._made + 1
        _at_least_0(index)
        return [event for lines in stream.chain(index).lines() for event in decoded(lines)]

    async def run(
        self,
        bus: EventBus,
        *,
        initial_chains: int | None = None,
        interval: float | None = None,
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
        """Publishes events in real time, each when it is due, until the run is done or cancelled.

        The bus applies backpressure by making `publish_many` wait. Errors of the bus are raised. After a cancellation,
        `statistics()` returns the figures of the run.

        Args:
            bus: must be entered, and its topics created.
            initial_chains: chains that begin at once. None: 0, or 20 where chains begin at intervals.
            interval: seconds between the beginnings of further chains.
            rate: further chains per second, as a Poisson process.
            arrivals: when further chains begin. Without these three, chains begin as those of the generator do, or at
                intervals of 5 s if that was given neither a rate nor arrivals.
            duration: seconds, at whose end `at_end` applies. None: until stopped.
            speed: factor by which intervals, delays and durations are shortened; `math.inf`: publish without waiting.
            topic_strategy: how the topic of an event type is chosen.
            max_lag: seconds; a chain that would begin later than this after its intended time is left out and
                counted as dropped. None: no chain is dropped.
            late_after: seconds after its intended time from which an event counts as late.
            clock: tells the time and sleeps. None: the system's.
            on_progress: is called with the figures, at most ten times a second, and at the end.
            start: virtual time of the beginning, which makes the run repeatable. None: now.
            observers: are called with every published batch, such as a `summary()` or a `Digest`.
            format: as for `blocks`; only JSON events can have faults or a ledger.
            faults: as for `injector`; events that they delay or duplicate are published when they are due.
            ledger: as for `injector`; it records what was published, also after a cancellation.

        Raises:
            InvalidSetting: an argument is out of range, two contradict each other, or a fault applies to no event of
                the run.
        """
        # imported here, so that generating events in virtual time does not import asyncio
        from eventbus.chains.clock import WallClock  # noqa: PLC0415
        from eventbus.chains.pacing.pacer import Pacer  # noqa: PLC0415

        if (faults or ledger) and format is not JSON:
            raise InvalidSetting("only JSON events can have faults or a ledger: convert the records after the faults")
        beginnings = self._beginnings(initial_chains, interval, rate, arrivals)
        clock = clock or WallClock()
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
        )
        begins = compile_paced_arrivals(start=pacer.start * 1000, **self._scaled_arrivals(beginnings))
        injector = None
        if faults or ledger:
            injector = self._injector(
                faults,
                ledger,
                start=EPOCH + timedelta(microseconds=pacer.start),
                duration=duration,
                speed=speed,
                max_lag=max_lag,
                **beginnings,
            )
        # A batch of a quarter of a second is generated in a few milliseconds, in which no other task runs. Chains that
        # begin at once are carried from batch to batch until all of them are made, so these batches must be few.
        block = int(min(max(begins.rate * speed / 4, begins.initial_chains, 16), 4096))
        self._run_injector = injector
        self._pacer, self._paced = pacer, self._stream(self._plans.of(begins, format), begins, pacer.start, block)
        extent = Extent(duration=duration, at_end=self.at_end)
        await pacer.run(self._paced.blocks(extent), injector, None if self.at_end == "cut" else self._paced.ending())
        return pacer.statistics()

    @asynccontextmanager
    async def running(self, bus: EventBus, **settings: Any) -> AsyncIterator[PacedRun]:
        """Runs in the background while a block lasts: `async with generator.running(bus) as run: …`.

        Leaving the block stops the run, and waits until the bus has taken what is being published. An error of the bus
        ends the run and is raised when the block is left. An error of the block cancels the run.

        Args:
            bus: as for `run`.
            settings: the other arguments of `run`.

        Raises:
            InvalidSetting: as for `run`, before the block begins.
        """
        import asyncio  # noqa: PLC0415 - slow to import

        task = asyncio.ensure_future(self.run(bus, **settings))
        try:
            await asyncio.sleep(0)  # now the task has checked its settings and made its pacer
            if task.done():
                await task
            pacer = self._pacer
            assert pacer
            yield pacer
        except BaseException:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)  # the block's error is the one that is raised
            raise
        pacer.stop()
        await task

    def stop(self) -> None:
        """Stops the current paced run: its open sessions close their page and end, and `run` returns its figures.

        Sessions have the events that they have in a run of this length with `at_end="end"`; other chains break off.
        With `at_end="cut"` sessions break off, too.
        """
        if self._pacer:
            self._pacer.stop()

    def summary(self) -> RunSummary:
        """A summary for this generator's events: an observer of `run`, or to be given the tables of blocks."""
        return RunSummary(emitter_infos(self._plan))

    def statistics(self) -> RunStatistics:
        """The figures of the current paced run, or of the last one."""
        return self._pacer.statistics() if self._pacer else RunStatistics()

    def injected(self) -> Mapping[str, int]:
        """Faults injected in the current paced run, or in the last one, by kind."""
        return self._run_injector.injected if self._run_injector else {}

    def expected(self, since: datetime, until: datetime) -> float:
        """The expected number of chains that begin in an interval: of the last paced run, or of the virtual one.

        In the closed model this is an estimate, based on the length of a sample of chains.

        Raises:
            InvalidSetting: a time has no zone.
        """
        stream = self._paced or self._kept(None, None)
        return stream.expected(microseconds(_zoned(until))) - stream.expected(microseconds(_zoned(since)))

    def throughput(self) -> float | None:
        """About how many events per second the users make together in the long run; None without users."""
        return self._kept(None, None).throughput()

    def _throughput(self, catalog: Catalog, users: ClosedWorkload) -> float:
        """About how many events per second users make together in the long run."""
        plan = Plan(catalog, self._envelope, phases=self._phases)
        return ChainStream(plan, ClosedArrivals(users), root=ESTIMATE_ROOT, start=0).throughput() or 0.0

    def _extent(
        self,
        chains: int | None,
        duration: float | None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Extent:
        """Of the run in virtual time."""
        return Extent(chains, duration, _instant(since), _instant(until), self.at_end, self._stopped_at)

    def _virtual_arrivals(self) -> OpenArrivals | ClosedArrivals:
        if self._model is not None:
            return compile_arrivals(self._model, microseconds(self.start) * 1000)
        return poisson(DEFAULT_RATE if self._rate is None else self._rate)

    def _beginnings(
        self, initial_chains: int | None, interval: float | None, rate: float | None, arrivals: Model | None
    ) -> dict[str, Any]:
        """When chains of a paced run begin, before times are scaled, as arguments of `compile_paced_arrivals`."""
        _refuse_both(interval=interval, rate=rate, arrivals=arrivals)
        if interval is None and rate is None and arrivals is None:
            rate, arrivals = self._rate, self.arrivals
        if rate is None and arrivals is None:
            interval = INTERVAL if interval is None else interval
            initial_chains = INITIAL_CHAINS if initial_chains is None else initial_chains
        return {"arrivals": arrivals, "rate": rate, "interval": interval, "initial_chains": initial_chains or 0}

    def _scaled_arrivals(self, beginnings: Mapping[str, Any]) -> dict[str, Any]:
        """The same with the generator's own arrivals as scaled as the times of its visitors."""
        is_own = beginnings["arrivals"] is self.arrivals
        return {**beginnings, "arrivals": self._model if is_own else beginnings["arrivals"]}

    def _injector(self, faults: Sequence[Fault], ledger: BinaryIO | None, **run: Any) -> Injector:
        emitters = emitter_infos(self._plan)
        recorder = None if ledger is None else Ledger(ledger, emitters, self._record(by_precedence(faults), **run))
        return Injector(self.catalog, emitters, root=self._root, faults=faults, ledger=recorder)

    def _record(self, faults: Sequence[Fault], **run: Any) -> RunRecord:
        return RunRecord.of(
            self.catalog,
            seed=self.seed,
            phases=self._phases,
            faults=tuple(faults),
            at_end=self.at_end,
            events_per_second=self.events_per_second,
            **self._tenancy,
            **run,
        )

    def _kept(self, name: str | None, outcome: Outcome | None) -> ChainStream:
        """A stream for single chains, cached."""
        if (name, outcome) not in self._single:
            self._single[name, outcome] = self._stream(self._plans.only(name, outcome, self._arrivals))
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

    def __repr__(self) -> str:
        start = self.start.strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"<ChainGenerator seed={self.seed} chains={len(self._plan.simulators)} start={start}>"


def _refuse_both(**arguments: object) -> None:
    """Raises InvalidSetting if more than one of these arguments is given."""
    given = [name for name, value in arguments.items() if value is not None]
    if len(given) > 1:
        raise InvalidSetting(f"{' and '.join(given)} contradict each other: expected one of them")


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
