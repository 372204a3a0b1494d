"""What one state of a chain emits: the event's JSON text, as a head of fixed width and the slots behind it."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from catalog import Catalog, Chain, State
from chains.payload import Hole, PayloadCompiler
from chains.slots import Column, Slot, merged
from chains.sources import Facts, Sources
from chains.text import TIMESTAMP_WIDTH, UUID_WIDTH, Rows, table


@dataclass(frozen=True)
class Envelope:
    """The fields that are the same in all events of a generator."""

    tenant_id: str
    namespace: str


@dataclass(frozen=True)
class Emitter:
    """The text of the events of one state. Offsets count bytes from the start of the event."""

    chain: str
    state: State
    is_root: bool
    head: Rows
    """One row: everything up to the first slot, the fixed fields left open; the whole event if there is no slot."""
    timestamp_at: int
    correlation_at: int
    causation_at: int | None
    """None on a root."""
    slots: tuple[Slot, ...]
    sources: Sources
    """Of the slots."""

    @property
    def event_type(self) -> str:
        return self.state.emits

    @property
    def head_width(self) -> int:
        return self.head.dtype.itemsize

    @property
    def width(self) -> int:
        """Bytes of its longest event."""
        return self.head_width + sum(slot.width for slot in self.slots)

    def columns(self, facts: Facts) -> list[Column]:
        """The texts of all slots for a group of events."""
        numbers = self.sources.numbers(facts)
        return [slot.column(numbers) for slot in self.slots]


ID_AT = len(b'{"event_id":"')
"""Where the id begins, in all events."""


def compile_emitter(
    catalog: Catalog, envelope: Envelope, chain: Chain, state: str, *, is_root: bool, longest: int
) -> Emitter:
    """The emitter of a state; the start state has two, as root of the chain and (in a loop) as a later event.

    Args:
        longest: the longest delay before the state, microseconds.
    """
    event = catalog.event_type(chain.states[state].emits)
    payload = PayloadCompiler(catalog, chain, state, longest).parts(event.payload)
    text = Head()
    text.constant(b'{"event_id":"')
    text.gap(UUID_WIDTH)
    text.constant(b'","event_type":' + orjson.dumps(event.name) + b',"timestamp":"')
    timestamp_at = text.gap(TIMESTAMP_WIDTH)
    text.constant(b'","correlation_id":"')
    correlation_at = text.gap(UUID_WIDTH)
    text.constant(b'","causation_id":' + (b"null" if is_root else b'"'))
    causation_at = None if is_root else text.gap(UUID_WIDTH)
    text.constant(b"" if is_root else b'"')
    constants = {
        "tenant_id": envelope.tenant_id,
        "namespace": envelope.namespace,
        "source": event.source,
        "schema_version": event.schema_version,
    }
    text.constant(b"," + orjson.dumps(constants)[1:-1] + b',"payload":')
    head, slots = _laid_out(text.bytes, [*payload, b"}\n"])
    return Emitter(
        chain=chain.name,
        state=chain.states[state],
        is_root=is_root,
        head=head,
        timestamp_at=timestamp_at,
        correlation_at=correlation_at,
        causation_at=causation_at,
        slots=slots,
        sources=Sources(source for slot in slots for source in slot.sources),
    )


class Head:
    """Collects the beginning of the text."""

    def __init__(self) -> None:
        self.bytes = b""

    def constant(self, text: bytes) -> None:
        self.bytes += text

    def gap(self, width: int) -> int:
        """Leaves room; returns where."""
        self.bytes += b"0" * width
        return len(self.bytes) - width


def _laid_out(head: bytes, parts: list[bytes | Hole]) -> tuple[Rows, tuple[Slot, ...]]:
    """The head with the constants before the first hole, and each hole with the constants behind it."""
    holes: list[tuple[Hole, bytes]] = []
    for part in parts:
        if isinstance(part, Hole):
            holes.append((part, b""))
        elif holes:
            holes[-1] = (holes[-1][0], holes[-1][1] + part)
        else:
            head += part
    return table([head]), merged([slot for hole, after in holes for slot in hole.slots(after)])
