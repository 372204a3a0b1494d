"""Computes the draws of payload values (see `catalog.model.draws`) for many events at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from eventbus.catalog.model.draws import (
    ColumnDraw,
    CounterDraw,
    Draw,
    EventColumn,
    FallbackDraw,
    KeyedDraw,
    LinearDraw,
    MatchedDraw,
    NoDraw,
    OrderedDraw,
    Quantity,
    RangeDraw,
    SlotDraw,
    UniformDraw,
    ZipfDraw,
)
from eventbus.chains.randomness import Integers, Words, among, below, draw_each
from eventbus.chains.sampling import keyed_numbers, matched_numbers, purpose_of, variable_numbers
from eventbus.chains.table import CLICK, CLICKS, DURATION, NUMBER, PAGE, PREVIOUS, SECOND, BitField, EventTable, StepIds


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
    time: Integers
    """Microseconds since the Unix epoch."""

    @classmethod
    def of(cls, events: EventTable, keys: Words) -> EventContext:
        """Of events and the keys of their chains."""
        return cls(keys, events.step, events.delay, events.attributes, events.chain, events.time)

    def take(self, rows: Integers) -> EventContext:
        return EventContext(
            self.keys.take(rows),
            self.step.take(rows),
            self.delay.take(rows),
            self.attributes.take(rows),
            self.chain.take(rows),
            self.time.take(rows),
        )

    def part(self, begin: int, end: int) -> EventContext:
        rows = slice(begin, end)
        return EventContext(
            self.keys[rows],
            self.step[rows],
            self.delay[rows],
            self.attributes[rows],
            self.chain[rows],
            self.time[rows],
        )

    def column(self, name: EventColumn) -> Integers:
        """The numbers of a column."""
        match name:
            case "delay_ms":
                return self.delay // 1000
            case "time_s":
                return self.time // SECOND
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
                numbers = context.column(drawn.column)
            case ZipfDraw():
                numbers = variable_numbers(drawn, context.keys, self._step_ids.trigger(context.step))
            case SlotDraw():
                numbers = context.chain % drawn.slots + drawn.slots * known[drawn.of_slot]
            case KeyedDraw():
                numbers = keyed_numbers(drawn, known[drawn.owner])
            case MatchedDraw():
                numbers = matched_numbers(drawn, known[drawn.owner], known[drawn.choice])
            case FallbackDraw():
                first = known[drawn.first]
                numbers = np.where(first > 0, first + (drawn.otherwise.count - 1), known[drawn.otherwise])
            case OrderedDraw():
                strides = np.array(drawn.strides, np.int64).take(known[drawn.choice])
                numbers = (known[drawn.start] + self._step_ids.within(context.step) * strides) % drawn.count
            case RangeDraw():
                low = _values(drawn.low, known)
                widths = _values(drawn.high, known) - low
                numbers = among(known[drawn.choice], np.maximum(widths, 0) + 1) + (low - drawn.origin)
            case LinearDraw():
                numbers = _values(drawn.base, known) * _values(drawn.factor, known)
                if drawn.divisor > 1:
                    numbers = (2 * numbers + drawn.divisor) // (2 * drawn.divisor)
                numbers = numbers + (_values(drawn.addend, known) - drawn.origin)
            case CounterDraw():
                period = known[drawn.period] + drawn.shortest
                elapsed = np.maximum(context.column("time_s") - drawn.since, 0)
                numbers = (elapsed + among(known[drawn.phase], period)) // period
            case NoDraw() | UniformDraw():
                numbers = np.zeros(context.step.size, np.int64)
        return numbers


def _values(quantity: Quantity, known: Numbers) -> Integers:
    """What a quantity is in each event."""
    numbers = known[quantity.draw]
    numbers = numbers + quantity.low if quantity.values is None else np.array(quantity.values, np.int64).take(numbers)
    return numbers if quantity.scale == 1 else numbers * quantity.scale


def _column(numbers: list[int]) -> Words:
    return np.array(numbers, np.uint64).reshape(-1, 1)


def _with_inputs(draw: Draw) -> tuple[Draw, ...]:
    """The draws that a draw depends on, and the draw."""
    inputs: tuple[Draw, ...] = ()
    match draw:
        case KeyedDraw():
            inputs = (draw.owner,)
        case SlotDraw():
            inputs = (draw.of_slot,)
        case FallbackDraw():
            inputs = (draw.first, draw.otherwise)
        case MatchedDraw():
            inputs = (draw.owner, draw.choice)
        case OrderedDraw():
            inputs = (draw.start, draw.choice)
        case RangeDraw():
            inputs = (draw.choice, draw.low.draw, draw.high.draw)
        case LinearDraw():
            inputs = (draw.base.draw, draw.factor.draw, draw.addend.draw)
        case CounterDraw():
            inputs = (draw.period, draw.phase)
    return *(part for each in inputs for part in _with_inputs(each)), draw
