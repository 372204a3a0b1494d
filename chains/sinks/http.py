"""Records to an HTTP server: over several connections, in order where order matters, and never given up in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from random import Random
from zlib import crc32

import aiohttp

from eventbus.chains.clock import AsyncClock, WallClock
from eventbus.chains.errors import SinkUnusable
from eventbus.chains.sinks.bodies import Dialect, HttpRequest, HttpResponse, Rejection
from eventbus.chains.sinks.sink import BoundedQueue, DeadLetters, SinkStatistics, Tally
from eventbus.chains.table import SECOND
from eventbus.errors import InvalidEvent
from eventbus.event import microseconds
from eventbus.record import ProducerRecord

# When to try again: exponential back-off with full jitter, and what the server asks for.


TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """Waits grow twofold, and each is drawn from 0 to its bound, so that clients that failed together do not come back
    together (Brooker, "Exponential backoff and jitter", 2015)."""

    attempts: int = 6
    """In all."""
    first: float = 0.5
    """Bound of the first wait, seconds."""
    longest: float = 30.0
    """Bound of any wait, seconds."""
    patience: float = 300.0
    """Seconds: a server that asks for more is not waited for."""

    def wait(self, attempt: int, asked: float | None, draw: float) -> float | None:
        """Seconds until the next attempt; None: there is none.

        Args:
            attempt: how many have been made, from 1.
            asked: seconds that the server wants at least (`Retry-After`).
            draw: from 0 to 1, random.
        """
        if attempt >= self.attempts or (asked or 0) > self.patience:
            return None
        jitter = draw * min(self.longest, self.first * 2.0 ** (attempt - 1))
        return (asked or 0) + jitter


def retry_after(headers: Mapping[str, str], now_us: int) -> float | None:
    """Seconds that `Retry-After` asks for, given as such or as a date (RFC 9110 §10.2.3); None if it does not.

    Args:
        now_us: microseconds since the Unix epoch.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (microseconds(when) - now_us) / 1e6)


ANSWER_BYTES = 1 << 20
"""Of an answer that are read at most."""
REQUESTS_AHEAD = 4
"""Requests' worth of records that wait for each connection."""
DOWN = frozenset({0, 429, 502, 503, 504})
"""No answer, or answers that are not about this request: when attempts end so, others would not fare better."""
USER_AGENT = "eventbus-mock/0.1.0"


class HttpSink:
    """Posts records. Those with the same key travel on the same connection, one request after the other.

    A request is repeated after network errors and the answers of `TRANSIENT`, as `retry` says; what `Retry-After`
    asks for holds for all connections. Everything else that is not a success is final. When the credentials are
    refused nothing more is sent: they would only be refused again. A server that stays away through all attempts
    counts as down for a while, in which records are given up at once; then a single attempt tells whether it is back.

    Args:
        url: of `http` or `https`.
        dialect: what is sent.
        dead_letters: where records are kept that were not taken. None: they count as failed.
        connections: used at once.
        timeout: seconds for one request.
        clock: of the waits.
        random: draws the jitter.

    Raises:
        SinkUnusable: the address is not one.
    """

    def __init__(
        self,
        url: str,
        dialect: Dialect,
        *,
        name: str | None = None,
        dead_letters: DeadLetters | None = None,
        connections: int = 8,
        retry: Retry = Retry(),
        timeout: float = 10.0,
        clock: AsyncClock | None = None,
        random: Random | None = None,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise SinkUnusable(f"expected an address that begins with http:// or https://, got {url!r}")
        self.name = name or f"http:{url}"
        self._url = url
        self._dialect = dialect
        self._dead_letters = dead_letters
        self._connections = connections
        self._retry = retry
        self._timeout = timeout
        self._clock = clock or WallClock()
        self._random = random or Random()
        self._lanes: list[BoundedQueue] = []
        self._session: aiohttp.ClientSession | None = None
        self._not_before = 0
        self._locked_out: str | None = None
        #: Why the server is taken for down, and until when nothing is sent.
        self._down: str | None = None
        self._down_until = 0
        self._tally = Tally()

    async def open(self) -> None:
        """Get ready; the server may come up later."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            headers={"user-agent": USER_AGENT},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        room, batch = self._dialect.batch * REQUESTS_AHEAD, self._dialect.batch
        self._lanes = [BoundedQueue(self._deliver, room=room, batch=batch) for _ in range(self._connections)]
        for lane in self._lanes:
            lane.start()

    async def write(self, records: Sequence[ProducerRecord]) -> None:
        self._tally.accepted += len(records)
        shares: list[list[ProducerRecord]] = [[] for _ in self._lanes]
        for record in records:
            if self._suits(record):
                shares[crc32(self._dialect.lane(record)) % len(shares)].append(record)
        await asyncio.gather(*(self._put(lane, share) for lane, share in zip(self._lanes, shares, strict=True)))

    async def flush(self) -> None:
        await asyncio.gather(*(lane.idle() for lane in self._lanes))

    async def close(self) -> None:
        for left in await asyncio.gather(*(lane.close() for lane in self._lanes)):
            self._lost(left, "the stream ended before it was sent")
        if self._session:
            await self._session.close()

    async def give_up(self, records: Sequence[ProducerRecord], reason: str) -> None:
        self._tally.accepted += len(records)
        self._lost(records, reason)

    def statistics(self) -> SinkStatistics:
        return self._tally.statistics()

    def _suits(self, record: ProducerRecord) -> bool:
        """Whether to send it; if not, it is counted."""
        try:
            verdict = self._dialect.fits(record)
        except InvalidEvent as error:
            verdict = f"not an event: {error}"
        if verdict is False:
            self._tally.omitted += 1
        elif isinstance(verdict, str):
            self._lost([record], verdict)
        return verdict is True

    async def _put(self, lane: BoundedQueue, records: Sequence[ProducerRecord]) -> None:
        rest = lane.take(records)
        try:
            while rest:
                await lane.room()
                rest = lane.take(rest)
        finally:
            self._lost(rest, "the stream ended before it was sent")

    async def _deliver(self, records: list[ProducerRecord]) -> None:
        """Send until there is a final answer, and count."""
        if reason := self._nobody():
            self._lost(records, reason)
            return
        try:
            answer, attempt = await self._insist(self._dialect.request(records), len(records))
        except asyncio.CancelledError:
            self._lost(records, "the stream ended before the server answered; it may have taken this")
            raise
        if answer.ok:
            self._sort(records, self._dialect.refused(answer, records, attempt))
            return
        if self._dialect.locks_out(answer):
            self._locked_out = str(answer)
        self._lost(records, f"{answer} (attempt {attempt})")

    def _nobody(self) -> str | None:
        """Why nothing is sent at present."""
        if self._locked_out:
            return self._locked_out
        return self._down if self._clock.time_us() < self._down_until else None

    async def _insist(self, request: HttpRequest, records: int) -> tuple[HttpResponse, int]:
        """The final answer, and the number of attempts it took."""
        attempt = 1
        while True:
            await self._clock.sleep(max(0, self._not_before - self._clock.time_us()) / SECOND)
            answer = await self._exchange(request)
            if answer.status and answer.status not in TRANSIENT:
                self._down = None
                return answer, attempt
            self._tally.trouble = str(answer)
            asked = retry_after(answer.headers, self._clock.time_us())
            wait = self._retry.wait(attempt, asked, self._random.random())
            if wait is None or self._down:
                self._gave_up(answer, asked)
                return answer, attempt
            if asked:
                self._not_before = max(self._not_before, self._clock.time_us() + round(asked * SECOND))
            await self._clock.sleep(wait)
            attempt += 1
            self._tally.retried += records

    def _gave_up(self, answer: HttpResponse, asked: float | None) -> None:
        if answer.status in DOWN:
            self._down = f"not sent, because the server is down: {answer}"
            self._down_until = self._clock.time_us() + round(max(self._retry.longest, asked or 0) * SECOND)

    async def _exchange(self, request: HttpRequest) -> HttpResponse:
        assert self._session is not None, "open() comes first"
        try:
            async with self._session.post(
                self._url, data=request.body, headers=request.headers, allow_redirects=False
            ) as response:
                body = await response.content.read(ANSWER_BYTES)
                return HttpResponse(response.status, response.headers, body)
        except TimeoutError:
            return HttpResponse(problem=f"no answer within {self._timeout:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return HttpResponse(problem=str(error) or type(error).__name__)

    def _sort(self, records: Sequence[ProducerRecord], refused: Sequence[Rejection]) -> None:
        self._tally.written += len(records) - len(refused)
        for refusal in refused:
            self._lost([refusal.record], refusal.reason)

    def _lost(self, records: Sequence[ProducerRecord], reason: str) -> None:
        if not records:
            return
        self._tally.trouble = reason
        if self._dead_letters and self._dead_letters.put(self.name, records, reason):
            self._tally.dead += len(records)
        else:
            self._tally.failed += len(records)
