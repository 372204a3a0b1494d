"""Posts records to an HTTP server over several connections, in order per key, with retries and dead letters."""

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
from eventbus.chains.sinks.sink import BoundedQueue, CountingSink, DeadLetters
from eventbus.chains.table import SECOND
from eventbus.errors import InvalidEvent
from eventbus.event import microseconds
from eventbus.record import ProducerRecord

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Status codes after which the same request may succeed."""


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off with full jitter: each wait is uniform between 0 and a bound that doubles.

    So clients that failed together do not retry together (Brooker, "Exponential backoff and jitter", 2015).
    """

    attempts: int = 6
    """Including the first."""
    first: float = 0.5
    """Bound of the first wait, seconds."""
    longest: float = 30.0
    """Bound of any wait, seconds."""
    patience: float = 300.0
    """The longest `Retry-After` that is respected, seconds; after a longer one there is no further attempt."""

    def wait(self, attempt: int, asked: float | None, draw: float) -> float | None:
        """Seconds until the next attempt; None: there is none.

        Args:
            attempt: number of the last attempt, from 1.
            asked: seconds of the server's `Retry-After`.
            draw: uniform between 0 and 1.
        """
        if attempt >= self.attempts or (asked or 0) > self.patience:
            return None
        jitter = draw * min(self.longest, self.first * 2.0 ** (attempt - 1))
        return (asked or 0) + jitter


def retry_after(headers: Mapping[str, str], now_us: int) -> float | None:
    """The delay of the header `Retry-After` in seconds, from a number or a date (RFC 9110 §10.2.3); None without one.

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


MAX_RESPONSE_BYTES = 16 << 20
"""Bytes of a response that are read at most: verdicts on 5,000 events, with their reasons, take some 2 MB."""
REQUESTS_AHEAD = 4
"""Requests' worth of records that wait for each connection."""
DOWN = frozenset({0, 429, 502, 503, 504})
"""No response (0), or status codes that say more about the server than about the request."""
USER_AGENT = "eventbus-mock/0.1.0"


class HttpSink(CountingSink):
    """Posts records. Those with the same partition key are sent one request after the other.

    A request is retried after network errors and the status codes of `TRANSIENT`, as `retry` says; a `Retry-After`
    applies to all connections. Any other failure is final. Once the credentials are refused, nothing more is sent. A
    server that fails all attempts with a status of `DOWN` counts as down for a while, in which records are rejected at
    once; then a single attempt tells whether it is back.

    Args:
        url: of `http` or `https`.
        dialect: what is sent.
        dead_letters: keeps records that the server did not take. None: they count as failed.
        connections: used concurrently.
        timeout: of one request, seconds.
        clock: for the waits.
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
        retry: RetryPolicy = RetryPolicy(),
        timeout: float = 10.0,
        clock: AsyncClock | None = None,
        random: Random | None = None,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise SinkUnusable(f"expected an address that begins with http:// or https://, got {url!r}")
        super().__init__(name or f"http:{url}")
        self._url = url
        self._dialect = dialect
        self._dead_letters = dead_letters
        self._connections = connections
        self._retry = retry
        self._timeout = timeout
        self._clock = clock or WallClock()
        self._random = random or Random()
        self._partitions: list[BoundedQueue] = []
        self._session: aiohttp.ClientSession | None = None
        self._not_before = 0
        self._auth_failure: str | None = None
        #: Why the server counts as down, and until when nothing is sent.
        self._down: str | None = None
        self._down_until = 0

    async def open(self) -> None:
        """Get ready; the server may come up later."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            headers={"user-agent": USER_AGENT},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        capacity, batch = self._dialect.batch * REQUESTS_AHEAD, self._dialect.batch
        self._partitions = [
            BoundedQueue(self._deliver, capacity=capacity, batch=batch) for _ in range(self._connections)
        ]
        for partition in self._partitions:
            partition.start()

    async def write(self, records: Sequence[ProducerRecord]) -> None:
        self._counts.accepted += len(records)
        batches: list[list[ProducerRecord]] = [[] for _ in self._partitions]
        for record in records:
            if self._accepts(record):
                batches[crc32(self._dialect.partition_key(record)) % len(batches)].append(record)
        pairs = zip(self._partitions, batches, strict=True)
        await asyncio.gather(*(self._enqueue(partition, batch) for partition, batch in pairs))

    async def flush(self) -> None:
        await asyncio.gather(*(partition.join() for partition in self._partitions))

    async def close(self) -> None:
        for remaining in await asyncio.gather(*(partition.close() for partition in self._partitions)):
            self._lose(remaining, "the stream ended before it was sent")
        if self._session:
            await self._session.close()

    async def reject(self, records: Sequence[ProducerRecord], reason: str) -> None:
        """Count records as dead, if they can be kept, or as failed."""
        self._counts.accepted += len(records)
        self._lose(records, reason)

    def _accepts(self, record: ProducerRecord) -> bool:
        """Whether to send a record; counts it if not."""
        try:
            verdict = self._dialect.accepts(record)
        except InvalidEvent as error:
            verdict = f"not an event: {error}"
        if verdict is False:
            self._counts.omitted += 1
        elif isinstance(verdict, str):
            self._lose([record], verdict)
        return verdict is True

    async def _enqueue(self, partition: BoundedQueue, records: Sequence[ProducerRecord]) -> None:
        rest = partition.offer(records)
        try:
            while rest:
                await partition.wait_until_free()
                rest = partition.offer(rest)
        finally:
            self._lose(rest, "the stream ended before it was sent")

    async def _deliver(self, records: list[ProducerRecord]) -> None:
        """Send records until there is a final response, and count what became of them."""
        if reason := self._unavailable():
            self._lose(records, reason)
            return
        try:
            response, attempt = await self._send(self._dialect.request(records), len(records))
        except asyncio.CancelledError:
            self._lose(records, "the stream ended before the server answered; it may have taken this")
            raise
        if response.ok:
            self._settle(records, self._dialect.rejections(response, records, attempt))
            return
        if self._dialect.is_auth_failure(response):
            self._auth_failure = str(response)
        self._lose(records, f"{response} (attempt {attempt})")

    def _unavailable(self) -> str | None:
        """Why nothing is sent at present; None if requests are sent."""
        if self._auth_failure:
            return self._auth_failure
        return self._down if self._clock.time_us() < self._down_until else None

    async def _send(self, request: HttpRequest, records: int) -> tuple[HttpResponse, int]:
        """Send a request, with retries; returns the final response and the number of attempts."""
        attempt = 1
        while True:
            await self._clock.sleep(max(0, self._not_before - self._clock.time_us()) / SECOND)
            response = await self._exchange(request)
            if response.status and response.status not in TRANSIENT:
                self._down = None
                return response, attempt
            self._counts.last_error = str(response)
            asked = retry_after(response.headers, self._clock.time_us())
            wait = self._retry.wait(attempt, asked, self._random.random())
            if wait is None or self._down:
                self._mark_down(response, asked)
                return response, attempt
            if asked:
                self._not_before = max(self._not_before, self._clock.time_us() + round(asked * SECOND))
            await self._clock.sleep(wait)
            attempt += 1
            self._counts.retried += records

    def _mark_down(self, response: HttpResponse, asked: float | None) -> None:
        if response.status in DOWN:
            self._down = f"not sent, because the server is down: {response}"
            self._down_until = self._clock.time_us() + round(max(self._retry.longest, asked or 0) * SECOND)

    async def _exchange(self, request: HttpRequest) -> HttpResponse:
        assert self._session is not None, "open() comes first"
        try:
            async with self._session.post(
                self._url, data=request.body, headers=request.headers, allow_redirects=False
            ) as response:
                body, incomplete = await self._body(response)
                return HttpResponse(response.status, response.headers, body, incomplete=incomplete)
        except TimeoutError:
            return HttpResponse(problem=f"no response within {self._timeout:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return HttpResponse(problem=str(error) or type(error).__name__)

    async def _body(self, response: aiohttp.ClientResponse) -> tuple[bytes, str | None]:
        """The body, and why its rest is missing if it is. Only after the whole is the connection used again."""
        body = bytearray()
        try:
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > MAX_RESPONSE_BYTES:
                    return bytes(body), f"it is longer than {MAX_RESPONSE_BYTES:,} bytes"
        except TimeoutError:
            return bytes(body), f"it did not end within {self._timeout:g} s"
        except (aiohttp.ClientError, OSError) as error:
            return bytes(body), str(error) or type(error).__name__
        return bytes(body), None

    def _settle(self, records: Sequence[ProducerRecord], rejections: Sequence[Rejection]) -> None:
        self._counts.written += len(records) - len(rejections)
        for rejection in rejections:
            self._lose([rejection.record], rejection.reason)

    def _lose(self, records: Sequence[ProducerRecord], reason: str) -> None:
        if not records:
            return
        self._counts.last_error = reason
        if self._dead_letters and self._dead_letters.put(self.name, records, reason):
            self._counts.dead += len(records)
        else:
            self._counts.failed += len(records)
