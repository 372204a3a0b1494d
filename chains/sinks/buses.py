"""A bus as a sink: in process, or a real Kafka."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from eventbus.bus import EventBus
from eventbus.chains.sinks.sink import SinkStatistics, Tally
from eventbus.errors import DeliveryFailed, EventBusError
from eventbus.record import ProducerRecord


class BusSink:
    """Publishes records into a bus.

    Args:
        bus: opened and closed by this sink.
        name: what it is called in an account.
        prepare: is awaited once the bus is open, so that the first record does not wait for it.
    """

    def __init__(
        self, bus: EventBus, *, name: str = "bus", prepare: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.name = name
        self._bus = bus
        self._prepare = prepare
        self._tally = Tally()

    async def open(self) -> None:
        """Raises EventBusError: the broker cannot be reached, or refuses."""
        await self._bus.__aenter__()
        if self._prepare:
            await self._prepare()

    async def write(self, records: Sequence[ProducerRecord]) -> None:
        tally, written = self._tally, 0
        tally.accepted += len(records)
        try:
            written = await self._bus.publish_many(records)
        except DeliveryFailed as error:
            written, tally.trouble = error.acknowledged, str(error)
        except EventBusError as error:
            tally.trouble = str(error)
        finally:
            tally.written += written
            tally.failed += len(records) - written

    async def flush(self) -> None:
        """`write` waits for the acknowledgements."""

    async def close(self) -> None:
        await self._bus.close()

    async def give_up(self, records: Sequence[ProducerRecord], reason: str) -> None:
        self._tally.give_up(len(records), reason)

    def statistics(self) -> SinkStatistics:
        return self._tally.statistics()
