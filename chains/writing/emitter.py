"""What one state of a chain emits: the event's text, as a head of fixed width and the slots behind it."""

from __future__ import annotations

from dataclasses import dataclass

from eventbus.catalog import Catalog, Chain, State
from eventbus.chains.formats.layout import Envelope, Gap, Layout, Subject
from eventbus.chains.writing.cutter import RecordShape
from eventbus.chains.writing.payload import Part, PayloadCompiler, Spot
from eventbus.chains.writing.slots import Column, Slot, merged
from eventbus.chains.writing.sources import Facts, Sources
from eventbus.chains.writing.text import Rows, table


@dataclass(frozen=True)
class Emitter:
    """The text of the events of one state. Offsets count bytes from the start of the event."""

    chain: str
    state: State
    is_root: bool
    head: Rows
    """One row: everything up to the first slot, the fixed fields left open; the whole event if there is no slot."""
    gaps: tuple[Gap, ...]
    """The fixed fields in the head."""
    shape: RecordShape
    slots: tuple[Slot, ...]
    sources: Sources
    """Of the slots."""

    @property
    def event_type(self) -> str:
        return self.state.emits

    @property
    def correlation_at(self) -> int:
        """Where the correlation id begins."""
        return self.shape.key_at

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
"""Where the id begins, in all JSON events."""


def compile_emitter(
    catalog: Catalog,
    envelope: Envelope,
    layout: Layout,
    chain: Chain,
    state: str,
    *,
    is_root: bool,
    longest: int,
) -> Emitter:
    """The emitter of a state; the start state has two, as root of the chain and (in a loop) as a later event.

    Args:
        longest: the longest delay before the state, microseconds.
    """
    event = catalog.event_type(chain.states[state].emits)
    draft = layout.draft(Subject(event, envelope, is_root, PayloadCompiler(catalog, chain, state, longest)))
    head, slots = _laid_out(draft.head, draft.parts)
    return Emitter(
        chain=chain.name,
        state=chain.states[state],
        is_root=is_root,
        head=head,
        gaps=tuple(draft.gaps),
        shape=draft.shape,
        slots=slots,
        sources=Sources(source for slot in slots for source in slot.sources),
    )


def _laid_out(head: bytes, parts: list[Part]) -> tuple[Rows, tuple[Slot, ...]]:
    """The head with the constants before the first spot, and each spot with the constants behind it."""
    spots: list[tuple[Spot, bytes]] = []
    for part in parts:
        if not isinstance(part, bytes):
            spots.append((part, b""))
        elif spots:
            spots[-1] = (spots[-1][0], spots[-1][1] + part)
        else:
            head += part
    return table([head]), merged([slot for spot, after in spots for slot in spot.slots(after)])
