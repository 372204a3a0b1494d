"""Faults as a stage behind the generator: columns decide which events are struck, and only those are decoded.

Whether an event is struck depends on the seed, its chain, its step and the kind of fault, so neither the clean stream
nor any other kind changes when a fault is turned on, and nothing depends on where blocks begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from catalog import Catalog
from catalog.words import suggestion
from chains.block import Block
from chains.emitter import ID_AT
from chains.errors import InvalidSetting
from chains.faults import Fault, by_precedence
from chains.ledger import Ledger
from chains.mutations import Change, Emission, Victim, change
from chains.places import Place
from chains.randomness import Integers, chain_keys, draw, draw_each, fraction, purpose
from chains.splicing import Cut, Held, spliced
from chains.text import UUID_WIDTH

NONE = -1


class FaultyBlock:
    """Lines as they leave the stage: some of the events changed, gone, come again, or come at another time."""

    __slots__ = ("_lines", "buffer", "chains", "last")

    def __init__(self, buffer: bytes, lines: int, chains: int, last: datetime) -> None:
        #: All lines; a few of them may be no JSON and no text.
        self.buffer = buffer
        #: How many chains begin in the clean block.
        self.chains = chains
        #: Time of the clean block's last event.
        self.last = last
        self._lines = lines

    def __len__(self) -> int:
        return self._lines

    def lines(self) -> list[bytes]:
        """Without their newlines."""
        return self.buffer.split(b"\n")[:-1]


class Injector:
    """Injects faults into the blocks of one run.

    Args:
        catalog: of the run.
        places: of the emitters of its plan.
        root: its random key.
        faults: the order does not matter.
        ledger: takes note of chains and faults; None: nobody does.

    Raises:
        InvalidSetting: a fault's scope leaves none of the events.
    """

    def __init__(
        self, catalog: Catalog, places: Sequence[Place], *, root: int, faults: Sequence[Fault], ledger: Ledger | None
    ) -> None:
        self._places = places
        self._types = [catalog.event_type(place.event_type) for place in places]
        self._root = root
        self._faults = [_Armed.of(fault, places, catalog) for fault in by_precedence(faults)]
        self._purposes = np.array([armed.purposes for armed in self._faults], np.uint64).reshape(-1, 3)
        self._ledger = ledger
        self._held = Held()
        self._passed = self._written = 0

    def blocks(self, clean: Iterable[Block]) -> Iterator[FaultyBlock]:
        """The same events, with faults; what is held back to the end comes in a last block of its own."""
        last: datetime | None = None
        for block in clean:
            if not len(block):
                continue
            yield self._injected(block)
            last = block.last
        if last is not None and (rest := self._held.rest()):
            self._written += len(rest)
            yield FaultyBlock(b"".join(rest), len(rest), 0, last)
        if self._ledger:
            self._ledger.close(self._written)

    def _injected(self, block: Block) -> FaultyBlock:
        if self._ledger:
            self._ledger.add(block)
        cuts = self._struck(block)
        if self._ledger:
            self._ledger.flush()
        cuts += [Cut(row, texts, inserts=True) for row, texts in self._held.due(block.table.time, self._passed)]
        self._passed += len(block)
        lines = len(block) + sum(len(cut.texts) - (not cut.inserts) for cut in cuts)
        self._written += lines
        return FaultyBlock(spliced(block, cuts), lines, block.chains, block.last)

    def _struck(self, block: Block) -> list[Cut]:
        """What stands in the place of each event that was struck; later emissions are held."""
        chosen = self._chosen(block)
        rows = np.flatnonzero(chosen != NONE)
        if not rows.size:
            return []
        table, faults = block.table.take(rows), chosen.take(rows)
        keys, purposes = chain_keys(self._root, table.chain), self._purposes.take(faults, axis=0)
        amounts, words = (draw_each(keys, purposes[:, part], table.step.view(np.uint64)) for part in (1, 2))
        starts, ends = (column.take(rows).tolist() for column in block.spans())
        text = block.buffer
        lines = [bytes(text[start:end]) for start, end in zip(starts, ends, strict=True)]
        events = zip(
            rows.tolist(), faults.tolist(), table.kind.tolist(), table.time.tolist(), table.delay.tolist(), strict=True
        )
        cuts = []
        drawn = zip(events, lines, amounts.tolist(), words.tolist(), table.chain.tolist(), strict=True)
        for (row, number, kind, time, delay), line, amount, word, chain in drawn:
            fault = self._faults[number].fault
            low, high = fault.span
            victim = Victim(
                line, self._types[kind], time, delay, low + amount % (high - low + 1), word, fault, self._root
            )
            changed = change(victim)
            if changed is not None:
                cuts.append(Cut(row, self._kept(changed.emissions, self._passed + row), inserts=False))
                self._note(row, kind, chain, victim, changed)
        return cuts

    def _chosen(self, block: Block) -> Integers:
        """The number of the fault that strikes each event, or NONE."""
        chosen = np.full(len(block), NONE, np.int64)
        keys = chain_keys(self._root, block.table.chain)
        for number, armed in reversed(list(enumerate(self._faults))):  # the first one wins
            hit = fraction(draw(keys, armed.purposes[0], block.table.step)) < armed.threshold
            hit &= armed.eligible.take(block.table.kind)
            chosen[hit] = number
        return chosen

    def _kept(self, emissions: tuple[Emission, ...], number: int) -> list[bytes]:
        """The texts that come now; the others are held."""
        here = []
        for emission in emissions:
            if emission.time is None and emission.places is None:
                here.append(emission.text)
            else:
                self._held.add(emission, number)
        return here

    def _note(self, row: int, kind: int, chain: int, victim: Victim, changed: Change) -> None:
        if self._ledger is None:
            return
        place, line = self._places[kind], victim.line
        identity = {
            "event_id": line[ID_AT : ID_AT + UUID_WIDTH].decode(),
            "event_type": place.event_type,
            "correlation_id": line[place.correlation_at : place.correlation_at + UUID_WIDTH].decode(),
        }
        self._ledger.fault(
            self._passed + row, victim.fault.kind, {"chain": chain, "name": place.chain, **identity, **changed.details}
        )


@dataclass(frozen=True)
class _Armed:
    """A fault with all that is worked out before the first event."""

    fault: Fault
    eligible: npt.NDArray[np.bool_]
    """By emitter."""
    threshold: np.uint64
    purposes: tuple[int, ...]
    """Of the draws that decide whether it strikes, how far it goes, and the rest."""

    @classmethod
    def of(cls, fault: Fault, places: Sequence[Place], catalog: Catalog) -> _Armed:
        _check_scope(fault, places)
        eligible = np.array([_eligible(fault, place, catalog) for place in places])
        if not eligible.any():
            raise InvalidSetting(f"the fault {fault.kind} finds no event to strike: its scope has none that it could")
        purposes = tuple(purpose(f"fault/{fault.kind}{part}") for part in ("", "/amount", "/word"))
        return cls(fault, eligible, np.uint64(round(fault.rate * (1 << 32))), purposes)


def _check_scope(fault: Fault, places: Sequence[Place]) -> None:
    for kind, wanted, known in (
        ("chain", fault.chains, {place.chain for place in places}),
        ("event type", fault.event_types, {place.event_type for place in places}),
    ):
        for name in set(wanted) - known:
            raise InvalidSetting(f"the run has no {kind} {name!r} for the fault {fault.kind}{suggestion(name, known)}")


def _eligible(fault: Fault, place: Place, catalog: Catalog) -> bool:
    if fault.chains and place.chain not in fault.chains:
        return False
    if fault.event_types and place.event_type not in fault.event_types:
        return False
    if fault.fields:
        return any(field.name in fault.fields for field in catalog.event_type(place.event_type).payload)
    if fault.kind == "missing-started":
        return place.event_type.split(".")[-2] == "started"
    if fault.kind == "completed-before-started":
        return place.ends_chain and not place.is_root
    return not (fault.kind == "orphan-causation" and place.is_root)
