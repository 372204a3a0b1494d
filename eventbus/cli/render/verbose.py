"""`stream --verbose`: a line for every event, as it is published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from eventbus.cli.render.terminal import printable
from eventbus.errors import InvalidEvent
from eventbus.event import Event

if TYPE_CHECKING:
    from eventbus.chains.pacing.observers import PublishedBatch
    from eventbus.record import ProducerRecord

FIELDS = 3
"""Of a payload, that are shown when it has no page."""
PREFIX = 18
"""Of a chain's id: the time when it began, and enough to tell it from others of that time."""
LONGEST = 32
"""Characters of a value."""


class Verbose:
    """Prints every event that the bus has taken.

    Args:
        types: of the emitters.
        write: is given text with its newlines.
    """

    def __init__(self, types: Sequence[str], write: Callable[[str], object]) -> None:
        self._names = [short(name) for name in types]
        self._write = write

    def published(self, batch: PublishedBatch) -> None:
        lags = [f"  {lag / 1000:+,.0f} ms" for lag in batch.lags.tolist()] or [""] * len(batch.records)
        columns = (batch.records, batch.emitters.tolist(), lags)
        self._write("".join(self._line(*row) for row in zip(*columns, strict=True)))

    def _line(self, record: ProducerRecord, kind: int, lag: str) -> str:
        """`09:00:01.250  visitor.page.visited  019b76da-c7e6  /pricing  +2 ms`."""
        when = f"{datetime.fromtimestamp(record.timestamp / 1000, UTC):%H:%M:%S.%f}"[:-3]
        chain = (record.key or b"").decode(errors="replace")[:PREFIX]
        return f"{when}  {self._names[kind]:<36}  {chain}  {details(record.value)}{lag}\n"


def details(value: bytes | None) -> str:
    """What an event is about: its page, or the first plain fields of its payload; nothing where it is not JSON."""
    try:
        payload = Event.from_bytes(value or b"").payload
    except InvalidEvent:
        return ""
    if "path" in payload:
        return printable(str(payload["path"]))[:LONGEST]
    plain = [(name, value) for name, value in payload.items() if isinstance(value, str | int | float)]
    return "  ".join(f"{name}={printable(str(value))[:LONGEST]}" for name, value in plain[:FIELDS])


def short(event_type: str) -> str:
    """Without what all have in common: `omninode.agent.execution.started.v1` → `agent.execution.started`."""
    words = event_type.split(".")
    return ".".join(words[1:-1] if words[0] == "omninode" and len(words) > 2 else words)
