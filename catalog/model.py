"""What exists: event types and chains, as frozen values. The loader makes them from YAML; nothing here reads files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pydantic import BaseModel

    from eventbus.catalog.graphs.graph import Graph
    from eventbus.catalog.topology import Fork, Retry, Timeout, Way
    from eventbus.catalog.visitors import Visitors

FieldType = Literal["string", "integer", "number", "boolean", "object", "array"]
Outcome = Literal["completed", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadField:
    """One field of a payload: its JSON type and bounds, and where the generator gets its value.

    Exactly one source is set: `fields` (an object), `value` (a constant), `choices` (drawn anew for each event),
    `pick` (from a list of the catalog, drawn anew for each event; all picks of one list in one event are the same
    item), `var` (the chain's variable: the same in the whole chain), `elapsed` (milliseconds since the causing
    event), `attempt` (1, and 1 more for each retry in the chain so far) or `minimum`/`maximum` alone (drawn evenly
    between them).
    """

    name: str
    type: FieldType
    description: str = ""
    required: bool = True
    """Whether an event sent in by hand must have it; generated events always do."""
    fields: tuple[PayloadField, ...] | None = None
    value: Any = None
    choices: tuple[Any, ...] | None = None
    pick: str | None = None
    """`list` or `list.attribute`."""
    var: str | None = None
    """`variable` or `variable.attribute`."""
    elapsed: bool = False
    attempt: bool = False
    visit: str | None = None
    """What the event is about in a chain of sessions: a name of `visitors.VISITS`."""
    template: str | None = None
    """The text around a `var` that is a whole number: `user-{}`."""
    minimum: float | None = None
    maximum: float | None = None
    decimals: int = 0
    """Of a drawn `number`."""
    examples: tuple[Any, ...] = ()
    allowed: tuple[Any, ...] | None = None
    """Every value the field may take where that is known (choices, a list, a variable); filled by the loader."""


class Cached:
    """For values that remember what was worked out from their fields: other processes get the fields only."""

    def __getstate__(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]  # a dataclass


@dataclass(frozen=True, kw_only=True)
class EventType(Cached):
    """One kind of event."""

    name: str
    """`omninode.<domain>.<entity…>.<action>.v<major>`."""
    source: str
    schema_version: str = "1.0.0"
    description: str = ""
    payload: tuple[PayloadField, ...] = ()

    @property
    def domain(self) -> str:
        """The first two words: `omninode.agent`."""
        return ".".join(self.name.split(".", 2)[:2])

    @property
    def action(self) -> str:
        """The word before the version: `completed`."""
        return self.name.split(".")[-2]

    @cached_property
    def payload_model(self) -> type[BaseModel]:
        """The payload as a pydantic model, made when first asked for."""
        from eventbus.catalog.payloads import payload_model  # noqa: PLC0415 - pydantic is slow to import

        return payload_model(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Evenly between two bounds, milliseconds."""

    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """Always the same, milliseconds."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential:
    """Exponential with a mean, milliseconds, truncated to the bounds in quantile space."""

    mean: float
    minimum: float = 0.0
    maximum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormal:
    """Log-normal given by its median and 95th percentile, milliseconds, truncated in quantile space."""

    median: float
    p95: float
    minimum: float = 0.0
    maximum: float | None = None


Delay = Uniform | Fixed | Exponential | LogNormal


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One way out of a state."""

    to: str
    delay: Delay
    """Of a retry with back-off: before the first one."""
    weight: float
    retry: Retry | None = None
    compensate: bool = False
    """Whether what was done so far is undone first (see `State.compensation`)."""
    by: str | None = None
    """A variable with a `factor`, by which the delay is multiplied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
    """Another chain that an event may cause, under the same correlation id."""

    chain: str
    """Its name."""
    delay: Delay
    """Until its first event."""
    weight: float
    """How often, in percent of the events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A step of a chain: it emits an event, then one transition is taken, or all branches of a fork.

    With neither of them the chain ends (with an outcome), or the branch of a fork does, or one thing has been undone.
    """

    name: str
    emits: str
    """Name of an event type."""
    next: tuple[Transition, ...] = ()
    total: float = 100.0
    """What the weights of `next` and `abandon` add up to."""
    outcome: Outcome | None = None
    """Set where the chain ends, and only there."""
    abandon: float = 0.0
    """Weight of the walks that stop here without another event and without outcome."""
    timeout: Timeout | None = None
    fork: Fork | None = None
    compensation: Way | None = None
    """To a state that undoes what this one did."""
    causes: tuple[Causes, ...] = ()
    """Each may begin, independently of the others and of `next`."""


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A value drawn once for each chain: an item of a list of the catalog, or an integer between two bounds."""

    name: str
    list: str | None = None
    by: str | None = None
    """Another variable: each of its values has an item of the list of its own, the same in all chains."""
    zipf: bool = False
    """Of a range: its second number is drawn half as often as the first, the third a third as often, and so on."""
    minimum: int | None = None
    maximum: int | None = None
    factor: float | None = None
    """Each item of the list is slow or fast in its own way: the 95th percentile of its factor, whose median is 1."""


@dataclass(frozen=True, kw_only=True)
class Chain(Cached):
    """A state machine whose walk is one chain of events."""

    name: str
    weight: float
    """Relative share; 0 is off by default."""
    description: str = ""
    start: str
    states: Mapping[str, State]
    """In the order of the file."""
    variables: Mapping[str, Variable] = field(default_factory=dict)
    max_steps: int = 64
    """Upper bound of events in a chain; near it, the shortest way to a terminal state is taken."""
    visitors: Visitors | None = None
    """Makes its chains sessions of visitors: `states` say what they emit, and this says what they do."""

    @property
    def root(self) -> str:
        """The event type that starts it."""
        return self.states[self.start].emits

    @cached_property
    def caused(self) -> frozenset[str]:
        """Names of the chains that its events may cause."""
        return frozenset(one.chain for state in self.states.values() for one in state.causes)

    @property
    def retries(self) -> int:
        """How many retries a walk may have at most."""
        return sum(one.retry.limit for state in self.states.values() for one in state.next if one.retry)

    @cached_property
    def graph(self) -> Graph:
        """Its walks, unfolded.

        Raises:
            TooManyPaths: they are too many.
        """
        from eventbus.catalog.graphs.graph import Graph  # noqa: PLC0415 - the graph is made of these values

        return Graph.of(self)
