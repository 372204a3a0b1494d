"""What a kind of fault is: which events it may strike, what it makes of them, and what verification finds of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, ClassVar, Literal, NamedTuple

from eventbus.catalog import EventType
from eventbus.catalog.model import FAULT_KINDS, Fault, FaultSpec
from eventbus.chains.plan import EmitterInfo
from eventbus.chains.randomness import Integers, Words

Delivery = Literal["drop", "replace", "duplicate", "delay", "displace"]
"""What becomes of an event's line: it is left out; the mutated line replaces it; the mutated line follows it after the
drawn amount of time; it is sent that much later; or it is sent behind the drawn number of later events."""


class AffectedEvents(NamedTuple):
    """Events that one fault strikes, in the order of the stream, as columns."""

    fault: Fault
    run: int
    """The run's random key."""
    emitters: Sequence[tuple[EmitterInfo, EventType]]
    """All of the plan."""
    lines: list[bytes]
    """With their newlines."""
    ids: list[bytes]
    correlation_ids: list[bytes]
    emitter: Integers
    """Indices in `emitters`."""
    chain: Integers
    """Indices of the chains."""
    time: Integers
    """Microseconds since the Unix epoch."""
    delay: Integers
    """Microseconds since the causing events."""
    amount: Integers
    """Drawn between the fault's bounds."""
    words: Words
    """64 random bits each."""

    def part(self, first: int, last: int, fault: Fault) -> AffectedEvents:
        """The events from `first` up to `last`, which `fault` strikes."""
        rows = slice(first, last)
        columns = (column[rows] for column in self[3:])
        return AffectedEvents(fault, self.run, self.emitters, *columns)  # type: ignore[arg-type]

    @property
    def infos(self) -> list[EmitterInfo]:
        """The emitter of each event."""
        return [self.emitters[number][0] for number in self.emitter.tolist()]

    @property
    def event_types(self) -> list[EventType]:
        return [self.emitters[number][1] for number in self.emitter.tolist()]


class Mutation(NamedTuple):
    """What a fault makes of each of its events; may share memory with them."""

    lines: Sequence[bytes]
    """With newlines."""
    details: Iterable[bytes]
    """For the ledger: further members of a JSON object, each after a comma. Computed when iterated."""
    times: Integers
    """Timestamps in the lines, microseconds since the Unix epoch."""


class FaultKind:
    """A kind of fault; a subclass `class Late(FaultKind, name="late")` is registered under its name.

    The name needs an entry in `FAULT_KINDS` of `eventbus.catalog.model.faults`, which has the kind's precedence and the
    unit and default of its bounds; scenario files and `--fault` know it from there. The class says the rest: the
    injector calls `mutate`, and `verify` reads the class variables.
    """

    registered: ClassVar[dict[str, type[FaultKind]]] = {}

    name: ClassVar[str]
    spec: ClassVar[FaultSpec]
    delivery: ClassVar[Delivery] = "replace"

    is_readable: ClassVar[bool] = True
    """Whether what is left of an event is still an event, with its id."""
    looks_like: ClassVar[str]
    """The kind that `verify` calls it without a ledger; by default its own name."""
    breaks_schema: ClassVar[bool] = False
    """Whether the catalog refuses the mutated event."""
    changes_copy: ClassVar[bool] = False
    """Of `duplicate` delivery: whether the second event differs from the first."""

    def __init_subclass__(cls, *, name: str) -> None:
        cls.name, cls.spec = name, FAULT_KINDS[name]
        cls.looks_like = cls.__dict__.get("looks_like", name)
        FaultKind.registered[name] = cls

    def may_strike(self, emitter: EmitterInfo) -> bool:
        """Whether events of an emitter are eligible."""
        return True

    def mutate(self, events: AffectedEvents) -> Mutation:
        """By default, the same lines."""
        return Mutation(events.lines, repeat(b""), events.time)

    @property
    def copies(self) -> int:
        """How many readable lines have the id of an event that it struck."""
        if self.delivery == "drop" or not self.is_readable:
            return 0
        return 2 if self.delivery == "duplicate" else 1

    def fingerprint(self, line: bytes) -> object:
        """What identifies an unreadable line, without its newline; equal to what `recorded` finds in the ledger."""
        return None

    def recorded(self, record: Mapping[str, Any]) -> object:
        """The fingerprint of the line that a ledger's record is about."""
        return None
