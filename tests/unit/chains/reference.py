"""The generator again, slow and obvious: one chain at a time, one event at a time, dicts, and a sort at the end.

It shares no code with the package `chains`, so that equal bytes mean something.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from eventbus.catalog import Catalog, Chain, Exponential, PayloadField
from eventbus.catalog.sources import (
    AttemptNumber,
    Choices,
    ElapsedTime,
    FixedValue,
    ListPick,
    NumberRange,
    VariableValue,
)
from eventbus.event import format_timestamp, microseconds, uuid7
from tests.unit.chains.draws import GOLDEN, MASK, Randomness, below, drawn_delay, mix, purpose
from tests.unit.chains.story import Step, Story
from tests.unit.chains.variables import value as variable_value


def reference(
    catalog: Catalog, *, seed: int, chains: int, rate: float, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
) -> list[bytes]:
    """The lines that `ChainGenerator` has to make."""
    weighted = [chain for chain in catalog.chains.values() if chain.weight > 0]
    arrival, found = microseconds(start) * 1000, []
    root = purpose("seed", str(seed))
    for index in range(chains):
        random = Randomness(mix((root + index * GOLDEN) & MASK), root)
        arrival += drawn_delay(Exponential(mean=1e9 / rate), random.word("arrival"), unit=1)
        chain = weighted[random.among([c.weight for c in weighted], "chain")]
        found += [
            (step.time, index, step.number, line) for step, line in one_chain(catalog, chain, random, arrival // 1000)
        ]
    return [line for *_, line in sorted(found)]


def one_chain(catalog: Catalog, chain: Chain, random: Randomness, began: int) -> Iterator[tuple[Step, bytes]]:
    ids: dict[int | None, str | None] = {None: None}
    for step in Story(catalog, random).told(chain, began):
        event = catalog.events[step.chain.states[step.state].emits]
        ids[step.number] = uuid7(step.time, random.word("id", step=step.number) >> 2)
        yield (
            step,
            orjson.dumps(
                {
                    "event_id": ids[step.number],
                    "event_type": event.name,
                    "timestamp": timestamp(step.time),
                    "correlation_id": ids[0],
                    "causation_id": ids[step.cause],
                    "tenant_id": "default-tenant",
                    "namespace": "development",
                    "source": event.source,
                    "schema_version": event.schema_version,
                    "payload": Payload(catalog, step.chain, random, step.number, step).object(event.payload),
                }
            ),
        )


@dataclass(frozen=True)
class Payload:
    """The payload of one event."""

    catalog: Catalog
    chain: Chain
    random: Randomness
    number: int
    step: Step

    def object(self, fields: tuple[PayloadField, ...], *path: str) -> dict[str, Any]:
        return {field.name: self.value(field, *path, field.name) for field in fields}

    def value(self, field: PayloadField, *path: str) -> Any:  # noqa: PLR0911 - one return for each source
        here = self.chain.name, self.step.state
        if field.fields is not None:
            return self.object(field.fields, *path)
        match field.source:
            case ElapsedTime():
                return self.step.delay // 1000
            case AttemptNumber():
                return self.step.retries + 1
            case VariableValue(reference, template):
                shown = variable_value(self.catalog, self.chain, self.random, reference, self.step.trigger)
                return template.format(shown) if template else shown
            case ListPick(reference):
                name, _, attribute = reference.partition(".")
                items = self.catalog.lists[name]
                item = items[below(self.random.word("pick", *here, name, step=self.number), len(items))]
                return item[attribute] if attribute else item
            case Choices(choices):
                return choices[below(self.random.word("field", *here, *path, step=self.number), len(choices))]
            case NumberRange(minimum, maximum, decimals):
                assert minimum is not None
                assert maximum is not None
                scale = 10**decimals if field.type == "number" else 1
                low, high = round(minimum * scale), round(maximum * scale)
                units = low + below(self.random.word("field", *here, *path, step=self.number), high - low + 1)
                return units / scale if field.type == "number" else units
            case FixedValue(value):
                return value
        raise AssertionError(f"the reference does not know {field.source}")


def timestamp(time: int) -> str:
    seconds, micro = divmod(time, 1_000_000)
    return format_timestamp(datetime.fromtimestamp(seconds, UTC).replace(microsecond=micro))
