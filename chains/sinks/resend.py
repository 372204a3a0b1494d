"""Sends dead letters again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from eventbus.chains.errors import SinkUnusable
from eventbus.chains.sinks.letters import DeadLetters, DeadLettersUnwritable, Letter, Sending, read_letter
from eventbus.chains.sinks.sink import NEVER_SENT, Sink, SinkStatistics

CHUNK = 500
"""Letters between two notes of how far the file has been sent: so many may be sent twice after a crash."""


@dataclass(slots=True, kw_only=True)
class ResendStatistics:
    """What became of the letters of a file: letters = sent + omitted + again + others + waiting."""

    letters: int
    """Lines that were not settled when the program began."""
    sent: int = 0
    """Letters that the sink has written."""
    omitted: int = 0
    """Letters that the sink does not take by its own rules."""
    again: int = 0
    """Letters that are dead again, or unreadable: in the file of new letters."""
    others: int = 0
    """Letters of other sinks, in the file of new letters as they were."""

    @property
    def waiting(self) -> int:
        """Letters that were not reached; the next run continues with them."""
        return self.letters - self.sent - self.omitted - self.again - self.others

    def to_dict(self) -> dict[str, int]:
        """In JSON's types."""
        return {
            "letters": self.letters,
            "sent": self.sent,
            "omitted": self.omitted,
            "again": self.again,
            "others": self.others,
            "waiting": self.waiting,
        }


class Resend:
    """Sends the letters of a file to a sink, in their order.

    Every letter is written by the sink, or is in the file of new letters, before it counts as settled; so a program
    that dies loses none, but up to `CHUNK` letters may be sent twice. It stops early when the sink is down.

    Args:
        sending: the file.
        sink: opened and closed here. Letters of other sinks are kept, unless none is for this one.
        dead_letters: takes what fails again; the same as the sink's.

    Raises:
        SinkUnusable: the letters are of several sinks, and none of them is this one.
    """

    def __init__(self, sending: Sending, sink: Sink, dead_letters: DeadLetters) -> None:
        if sink.name not in sending.sinks and len(sending.sinks) > 1:
            names = ", ".join(sorted(sending.sinks))
            raise SinkUnusable(f"expected one of the sinks that the letters are of ({names}), got {sink.name}")
        self._sending = sending
        self._sink = sink
        self._dead_letters = dead_letters
        self._takes_all = sink.name not in sending.sinks
        self.statistics = ResendStatistics(letters=sending.letters + sending.unreadable)
        self.is_down = False
        """Whether it stopped because the sink was down."""

    @property
    def sink_name(self) -> str:
        return self._sink.name

    def sink_statistics(self) -> SinkStatistics:
        """The current figures of the sink."""
        return self._sink.statistics()

    async def run(self) -> None:
        """Send everything. If cancelled, what is under way becomes dead letters, and the rest waits in the file.

        Raises:
            SinkUnusable, EventBusError: the sink cannot be opened.
            DeadLettersUnwritable: what fails again cannot be kept; what is not settled stays in the file.
        """
        await self._sink.open()
        try:
            self._sending.claim()
            for lines, place in self._sending.chunks(CHUNK):
                await self._send(lines, place)
                if self.is_down:
                    return
            self._sending.finish()
        finally:
            await self._sink.close()

    async def _send(self, lines: list[bytes], place: int) -> None:
        letters, kept = list[Letter](), list[bytes]()
        unreadable = 0
        for line in lines:
            try:
                letter = read_letter(line)
            except ValueError:
                kept.append(line)
                unreadable += 1
                continue
            if self._takes_all or letter.sink == self._sink.name:
                letters.append(letter)
            else:
                kept.append(line)
        before = self._sink.statistics()
        try:
            # Within the flush, which waits for a limited time if the sink is down: so does a write that finds no room.
            await self._sink.flush(self._sink.write([letter.record for letter in letters]))
        except asyncio.CancelledError:
            await self._sink.close()  # it settles what is under way
            raise
        finally:
            after = self._sink.statistics()
            if after.accepted - before.accepted == len(letters) and not after.pending:
                self._settle(letters, kept, place, before, after)
                self.statistics.again += unreadable
                self.statistics.others += len(kept) - unreadable

    def _settle(
        self, letters: list[Letter], kept: list[bytes], place: int, before: SinkStatistics, after: SinkStatistics
    ) -> None:
        """Keep what was not sent, then note that the chunk is done.

        A sink without dead letters does not say which records have failed: all of the chunk are kept then.
        """
        records = [letter.record for letter in letters]
        if after.failed > before.failed:
            reason = f"one of {len(records):,} of which some failed: {after.last_error}"
            if self._dead_letters.put(self._sink.name, records, reason) < len(records):
                raise DeadLettersUnwritable(self._dead_letters.last_error)
            self.statistics.again += len(records)
        else:
            self.statistics.sent += after.written - before.written
            self.statistics.omitted += after.omitted - before.omitted
            self.statistics.again += after.dead - before.dead
        if kept and self._dead_letters.put_lines(kept) < len(kept):
            raise DeadLettersUnwritable(self._dead_letters.last_error)
        self._dead_letters.sync()
        self._sending.settle(place)
        nothing_sent = after.written == before.written and after.failed > before.failed
        self.is_down = nothing_sent or after.reasons.get(NEVER_SENT, 0) > before.reasons.get(NEVER_SENT, 0)
