"""From the records of topics to what the checks need, and what only a topic can be tested for: keys and partitions."""

from __future__ import annotations

from collections.abc import Iterable

from eventbus.catalog import Catalog
from eventbus.chains.verification.reading import Reader, Reading, Seen, id_time
from eventbus.chains.verification.report import Check, Finding
from eventbus.chains.verification.structure import TOLERANCE
from eventbus.record import ConsumerRecord, TopicPartition


class RecordReader:
    """Reads records: those of a partition in its order, partitions in any.

    There is no order between partitions, so the events of all are merged by the latest time that each partition had
    reached: what is in order in its partition is in order then.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._reader = Reader(catalog)
        self._places: list[tuple[TopicPartition, int]] = []
        self._reached: dict[TopicPartition, int] = {}
        #: When each event must have been sent, at the earliest.
        self._sent: list[int] = []
        self._homes: dict[tuple[str, bytes], int] = {}
        self._misplaced: list[Finding] = []
        self._mismatched: list[Finding] = []

    def add(self, records: Iterable[ConsumerRecord]) -> None:
        """Take note of further records."""
        for record in records:
            home = TopicPartition(record.topic, record.partition)
            self._places.append((home, record.offset))
            event = self._reader.add(b"null" if record.value is None else record.value)
            if event is not None:
                self._reached[home] = max(self._reached.get(home, 0), _time(event))
                self._sent.append(self._reached[home])
            self._check_key(record, event)
            self._check_home(record, event)

    def reading(self) -> Reading:
        """All that was read."""
        reading = self._reader.reading
        order = sorted(range(len(self._sent)), key=self._sent.__getitem__)
        reading.events = [reading.events[number] for number in order]
        reading.place = self._place
        reading.others = [
            Check("keys", "a record's key is its chain", reading.lines, self._mismatched),
            Check("partitions", "a chain is in one partition of a topic", len(self._homes), self._misplaced),
        ]
        return reading

    def _check_key(self, record: ConsumerRecord, event: Seen | None) -> None:
        if event is not None and record.key != event.correlation_id.encode():
            key = (record.key or b"").decode(errors="backslashreplace") or "no key"
            sentence = f"{event.event_id} of chain {event.correlation_id} has the key {key}"
            self._mismatched.append(Finding(None, event.line, (event.event_id,), sentence))

    def _check_home(self, record: ConsumerRecord, event: Seen | None) -> None:
        key = event.correlation_id.encode() if event else record.key
        if key is None:
            return
        home = self._homes.setdefault((record.topic, key), record.partition)
        if home != record.partition:
            sentence = f"chain {key.decode(errors='backslashreplace')} is in partition {home} as well"
            self._misplaced.append(Finding(None, len(self._places), (event.event_id,) if event else (), sentence))

    def _place(self, line: int) -> str:
        (topic, partition), offset = self._places[line - 1]
        return f"{topic}[{partition}]@{offset}"


def _time(event: Seen) -> int:
    """When it was made: its time, unless that is another one than in its id."""
    if event.event_id[14] != "7":
        return event.time
    made = id_time(event.event_id)
    return event.time if abs(event.time - made) <= TOLERANCE else made
