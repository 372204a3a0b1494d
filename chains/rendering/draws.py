"""Computes the draws of payload values (see `catalog.model.draws`) for many events at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
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
from eventbus.chains.sampling import ComputeVariable, Matches, compile_variable, keyed_numbers, purpose_of
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


Compute = Callable[[EventContext, Numbers], Integers]
"""Computes a draw for a group of events, from the numbers of the draws that it depends on."""


class EmitterDraws:
    """All draws of one emitter. Uniform draws are computed together: the calls take the time, not the numbers.

    Args:
        step_ids: of the events; what a chain draws once, it draws at the number of its trigger.
    """

    def __init__(self, draws: Iterable[Draw], step_ids: StepIds) -> None:
        ordered = tuple(dict.fromkeys(part for draw in draws for part in _with_inputs(draw)))
        self._others = [(draw, _compiled(draw, step_ids)) for draw in ordered if not isinstance(draw, UniformDraw)]
        self._uniform = [draw for draw in ordered if isinstance(draw, UniformDraw)]
        self._purposes = _column([purpose_of(draw) for draw in self._uniform])
        self._counts = _column([draw.count for draw in self._uniform])
        self._shifts = _column([0 if draw.each_step else step_ids.bits for draw in self._uniform])

    def numbers(self, context: EventContext) -> Numbers:
        """The numbers of a group of events."""
        words = draw_each(context.keys, self._purposes, context.step.view(np.uint64) >> self._shifts)
        numbers: dict[Draw, Integers] = dict(zip(self._uniform, below(words, self._counts), strict=True))
        for drawn, compute in self._others:
            numbers[drawn] = compute(context, numbers)
        return numbers


def _compiled(drawn: Draw, step_ids: StepIds) -> Compute:  # noqa: PLR0911 - a way to compute each kind
    """How to compute a draw that is not uniform; what depends on the draw alone is computed here, once."""
    match drawn:
        case ColumnDraw():
            return partial(_column_of, drawn.column)
        case ZipfDraw():
            return partial(_zipf, compile_variable(drawn), step_ids)
        case SlotDraw():
            return partial(_slot, drawn)
        case KeyedDraw():
            return partial(_keyed, drawn)
        case MatchedDraw():
            return partial(_matched, drawn, Matches(drawn))
        case FallbackDraw():
            return partial(_first_or_otherwise, drawn)
        case OrderedDraw():
            return partial(_ordered, drawn, np.array(drawn.strides, np.int64), step_ids)
        case RangeDraw():
            return partial(
                _in_range,
                drawn.choice,
                CompiledQuantity(drawn.low, drawn.origin),
                CompiledQuantity(drawn.high, drawn.origin),
            )
        case LinearDraw():
            operands = (
                CompiledQuantity(drawn.base),
                CompiledQuantity(drawn.factor),
                CompiledQuantity(drawn.addend, drawn.origin * drawn.divisor),
            )
            return partial(_linear, operands, drawn.divisor)
        case CounterDraw():
            return partial(_counted, drawn)
        case NoDraw() | UniformDraw():
            return _nothing


def _nothing(context: EventContext, known: Numbers) -> Integers:
    return np.zeros(context.step.size, np.int64)


def _column_of(name: EventColumn, context: EventContext, known: Numbers) -> Integers:
    return context.column(name)


def _zipf(variable: ComputeVariable, step_ids: StepIds, context: EventContext, known: Numbers) -> Integers:
    return variable(context.keys, step_ids.trigger(context.step))


def _slot(drawn: SlotDraw, context: EventContext, known: Numbers) -> Integers:
    return context.chain % drawn.slots + drawn.slots * known[drawn.of_slot]


def _keyed(drawn: KeyedDraw, context: EventContext, known: Numbers) -> Integers:
    return keyed_numbers(drawn, known[drawn.owner])


def _matched(drawn: MatchedDraw, matches: Matches, context: EventContext, known: Numbers) -> Integers:
    return matches.numbers(known[drawn.owner], known[drawn.choice])


def _first_or_otherwise(drawn: FallbackDraw, context: EventContext, known: Numbers) -> Integers:
    first = known[drawn.first]
    return np.where(first > 0, first + (drawn.otherwise.count - 1), known[drawn.otherwise])


def _ordered(
    drawn: OrderedDraw, strides: Integers, step_ids: StepIds, context: EventContext, known: Numbers
) -> Integers:
    steps: Integers = step_ids.within(context.step) * strides.take(known[drawn.choice])
    return (known[drawn.start] + steps) % drawn.count


class CompiledQuantity:
    """What a quantity is in each event; a constant is one number for all of them."""

    def __init__(self, quantity: Quantity, origin: int = 0) -> None:
        """`origin` is subtracted."""
        self._draw, self._scale = quantity.draw, quantity.scale
        self._addend = quantity.low * quantity.scale - origin
        self._values: Integers | None = None
        if quantity.values is not None:
            self._values = np.array(quantity.values, np.int64) * quantity.scale - origin
        self._is_constant = isinstance(quantity.draw, NoDraw)

    def of(self, known: Numbers) -> Integers | int:
        if self._is_constant:
            return self._addend if self._values is None else int(self._values[0])
        numbers = known[self._draw]
        if self._values is not None:
            return self._values.take(numbers)
        return (numbers if self._scale == 1 else numbers * self._scale) + self._addend


def _in_range(
    choice: UniformDraw, low: CompiledQuantity, high: CompiledQuantity, context: EventContext, known: Numbers
) -> Integers:
    """Both bounds are counted from the origin of the draw."""
    lowest = low.of(known)
    return among(known[choice], np.maximum(high.of(known) - lowest, 0) + 1) + lowest


def _linear(
    operands: tuple[CompiledQuantity, CompiledQuantity, CompiledQuantity],
    divisor: int,
    context: EventContext,
    known: Numbers,
) -> Integers:
    base, factor, addend = (operand.of(known) for operand in operands)
    sums = np.full(context.step.size, addend)
    sums += base * factor
    return sums if divisor == 1 else (2 * sums + divisor) // (2 * divisor)


def _counted(drawn: CounterDraw, context: EventContext, known: Numbers) -> Integers:
    period = known[drawn.period] + drawn.shortest
    elapsed = np.maximum(context.column("time_s") - drawn.since, 0)
    return (elapsed + among(known[drawn.phase], period)) // period


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
    return *(part for needed in inputs for part in _with_inputs(needed)), draw
