"""Computes the draws of payload values (see `catalog.model.draws`) for many events at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from eventbus.catalog.model.draws import (
    ColumnDraw,
    Draw,
    EventColumn,
    FallbackDraw,
    KeyedDraw,
    NoDraw,
    UniformDraw,
    ZipfDraw,
)
from eventbus.chains.randomness import Integers, Words, below, draw_each
from eventbus.chains.sampling import keyed_numbers, purpose_of, variable_numbers
from eventbus.chains.table import CLICK, CLICKS, DURATION, NUMBER, PAGE, PREVIOUS, BitField, EventTable, StepIds


class EventContext(NamedTuple):
    """What the payloads of a group of events may depend on, a value for each event."""

    keys: Words
    """Random keys of the chains."""
    step: Integers
    delay: Integers
    """Microseconds since the causing event."""
    attributes: Integers
    """See `EventTable.attributes`."""
    chain: Integers

    @classmethod
    def of(cls, events: EventTable, keys: Words) -> EventContext:
        """Of events and the keys of their chains."""
        return cls(keys, events.step, events.delay, events.attributes, events.chain)

    def take(self, rows: Integers) -> EventContext:
        return EventContext(
            self.keys.take(rows),
            self.step.take(rows),
            self.delay.take(rows),
            self.attributes.take(rows),
            self.chain.take(rows),
        )

    def part(self, begin: int, end: int) -> EventContext:
        rows = slice(begin, end)
        return EventContext(self.keys[rows], self.step[rows], self.delay[rows], self.attributes[rows], self.chain[rows])

    def column(self, name: EventColumn) -> Integers:
        """The numbers of a column."""
        match name:
            case "delay_ms":
                return self.delay // 1000
            case "retries":
                return self.attributes
            case "chain":
                return self.chain
            case "step":
                return self.step
            case _:
                return SESSION_COLUMNS[name].get(self.attributes)


SESSION_COLUMNS: Mapping[EventColumn, BitField] = {
    "page": PAGE,
    "previous_page": PREVIOUS,
    "click": CLICK,
    "page_number": NUMBER,
    "clicks": CLICKS,
    "session_ms": DURATION,
}

Numbers = Mapping[Draw, Integers]
"""A number for each event of a group, by draw."""


class EmitterDraws:
    """All draws of one emitter. Uniform draws are computed together: the calls take the time, not the numbers.

    Args:
        step_ids: of the events; what a chain draws once, it draws at the number of its trigger.
    """

    def __init__(self, draws: Iterable[Draw], step_ids: StepIds) -> None:
        self._step_ids = step_ids
        ordered = tuple(dict.fromkeys(part for draw in draws for part in _with_inputs(draw)))
        self._others = [draw for draw in ordered if not isinstance(draw, UniformDraw)]
        self._uniform = [draw for draw in ordered if isinstance(draw, UniformDraw)]
        self._purposes = _column([purpose_of(draw) for draw in self._uniform])
        self._counts = _column([draw.count for draw in self._uniform])
        self._shifts = _column([0 if draw.each_step else step_ids.bits for draw in self._uniform])

    def numbers(self, context: EventContext) -> Numbers:
        """The numbers of a group of events."""
        words = draw_each(context.keys, self._purposes, context.step.view(np.uint64) >> self._shifts)
        numbers: dict[Draw, Integers] = dict(zip(self._uniform, below(words, self._counts), strict=True))
        for other in self._others:
            numbers[other] = self._numbers(other, context, numbers)
        return numbers

    def _numbers(self, drawn: Draw, context: EventContext, known: Numbers) -> Integers:
        match drawn:
            case ColumnDraw():
                return context.column(drawn.column)
            case ZipfDraw():
                return variable_numbers(drawn, context.keys, self._step_ids.trigger(context.step))
            case KeyedDraw():
                return keyed_numbers(drawn, known[drawn.owner])
            case FallbackDraw():
                first = known[drawn.first]
                return np.where(first > 0, first + (drawn.otherwise.count - 1), known[drawn.otherwise])
            case NoDraw() | UniformDraw():
                return np.zeros(context.step.size, np.int64)


def _column(numbers: list[int]) -> Words:
    return np.array(numbers, np.uint64).reshape(-1, 1)


def _with_inputs(draw: Draw) -> tuple[Draw, ...]:
    """The draws that a draw depends on, and the draw."""
    match draw:
        case KeyedDraw():
            return *_with_inputs(draw.owner), draw
        case FallbackDraw():
            return draw.first, *_with_inputs(draw.otherwise), draw
        case _:
            return (draw,)
