"""Posts records to an HTTP server over several connections, in order per key, with retries and dead letters."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from random import Random
from zlib import crc32

import aiohttp
from yarl import URL

from eventbus.chains.clock import AsyncClock, WallClock
from eventbus.chains.errors import SinkUnusable
from eventbus.chains.sinks.bodies import (
    REDACTED,
    UNKNOWN,
    Dialect,
    HttpRequest,
    HttpResponse,
    Rejection,
    Unsendable,
    secrets_of,
)
from eventbus.chains.sinks.letters import DeadLetters
from eventbus.chains.sinks.sink import NEVER_SENT, STREAM_ENDED, BoundedQueue, CountingSink, SinkStatistics
from eventbus.chains.table import SECOND
from eventbus.errors import InvalidEvent
from eventbus.event import microseconds
from eventbus.record import ProducerRecord
from eventbus.version import package_version

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Status codes after which the same request may succeed."""


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off with full jitter: each wait is uniform between 0 and a bound that doubles.

    So clients that failed together do not retry together (Brooker, "Exponential backoff and jitter", 2015).
    """

    attempts: int = 6
    """Including the first, of a request that the server fails at."""
    first: float = 0.5
    """Bound of the first wait, seconds."""
    longest: float = 30.0
    """Bound of any wait, seconds."""
    patience: float = 300.0
    """The longest wait that a `Retry-After` can ask for, seconds."""
    probe: float = 1.0
    """The wait between two requests to a server that is down, seconds."""
    outage: float = 30.0
    """For how long a flush waits for a server that is down, seconds."""
    suspicion: float = 30.0
    """Seconds of an outage after which the request that probes may be what the server fails at."""

    def wait(self, attempt: int, asked: float | None, draw: float) -> float | None:
        """Seconds until the next attempt; None: there is none.

        Args:
            attempt: number of the last attempt, from 1.
            asked: seconds of the server's `Retry-After`.
            draw: uniform between 0 and 1.
        """
        if attempt >= self.attempts:
            return None
        jitter = draw * min(self.longest, self.first * 2.0 ** (attempt - 1))
        return min(asked or 0, self.patience) + jitter


def retry_after(headers: Mapping[str, str], now_us: int) -> float | None:
    """The delay of the header `Retry-After` in seconds, from a number or a date (RFC 9110 §10.2.3); None without one.

    A number may be too large for a float: then the delay is infinite.

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


async def _first(*awaitables: Awaitable[object]) -> None:
    """Wait until one of them ends; the others are cancelled."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def without_login(address: str) -> str:
    """An address, with `…` in place of the user and the password that it may have: for names and messages."""
    return re.sub(r"//[^/?#]*@", f"//{REDACTED}@", address)


def _check_address(url: str) -> None:
    """Raises SinkUnusable: no request can be sent to this address, whatever the server does."""
    expected = f"expected an address as http://host:port/path, got {without_login(url)!r}"
    if not url.startswith(("http://", "https://")):
        raise SinkUnusable(f"expected an address that begins with http:// or https://, got {without_login(url)!r}")
    try:
        url.encode()
        host = URL(url).host
        if not host:
            raise SinkUnusable(f"{expected}: it has no host")
        host.encode("idna")  # as the resolver does
    except ValueError as error:
        raise SinkUnusable(f"{expected}: {error}") from None


MAX_RESPONSE_BYTES = 16 << 20
"""Bytes of a response that are read at most: verdicts on 5,000 events, with their reasons, take some 2 MB."""
REQUESTS_AHEAD = 4
"""Requests' worth of records that wait for each connection."""
DOWN = frozenset({429, 502, 503, 504})
"""Status codes that say more about the server than about the request; so does a missing response."""
USER_AGENT = f"eventbus-mock/{package_version()}"


@dataclass(slots=True)
class Outage:
    """A server that is down. Times are in microseconds since the Unix epoch."""

    since: int
    next_probe: int
    reason: str
    suspected_since: int
    """Since when the request that probes may itself be what the server fails at."""


@dataclass(slots=True)
class Tries:
    """The requests that were made for a batch of records."""

    made: int = 0
    """Requests that reached the server, or may have."""
    in_flight: bool = False
    last: HttpResponse | None = None

    def give_up(self, why: str) -> tuple[str, str]:
        """Kind and text of the reason to give the records up without a final response.

        Args:
            why: nothing more is sent.
        """
        if self.in_flight:
            return UNKNOWN, f"{UNKNOWN}: {why} before the response"
        if self.made and self.last:
            return self.last.kind, f"{self.last} (attempt {self.made}); {why}"
        return NEVER_SENT, f"{NEVER_SENT}: {why}"


class HttpSink(CountingSink):
    """Posts records. Those with the same partition key are sent one request after the other.

    A request is repeated after network errors and the status codes of `TRANSIENT`, as `retry` says; any other failure
    is final. With a single attempt nothing is repeated. Once the credentials are refused, nothing more is sent.

    Without a response, or with a status of `DOWN`, the server counts as down: everything waits, and one request a
    second, or as seldom as `Retry-After` asks, finds out whether it is back. No record is given up meanwhile, unless
    its own request may be what brings the server down: then, after all its attempts, one in `retry.suspicion` seconds.
    `flush` waits for as long for the server to come back. What is not sent by then, or when the sink is closed, is
    rejected as "never sent".

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
        super().__init__(without_login(name or f"http:{url}"), keeps_rejected=dead_letters is not None)
        _check_address(url)
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
        self._auth_failure: str | None = None
        self._outage: Outage | None = None
        #: Held by the request that probes a server that is down; the others wait in line.
        self._probing = asyncio.Lock()
        self._flushing_since: int | None = None
        self._flushing = asyncio.Event()
        #: Why a flush has ended without sending what waits.
        self._abandoned: str | None = None

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
        waiting = {
            partition: partition.offer(batch) for partition, batch in zip(self._partitions, batches, strict=True)
        }
        try:
            await asyncio.gather(*(self._enqueue(partition, waiting) for partition, rest in waiting.items() if rest))
        finally:  # here, and not in each task: one that is cancelled before it begins runs nothing
            for partition in self._partitions:
                self._lose(waiting.pop(partition), *Tries().give_up(self._ending))

    async def flush(self, after: Awaitable[object] | None = None) -> None:
        """Wait until nothing is pending; if the server is down, for as long as `retry.outage` says."""
        self._flushing_since = self._clock.time_us()
        self._flushing.set()
        try:
            await super().flush(after)
            await asyncio.gather(*(partition.join() for partition in self._partitions))
        finally:
            self._flushing_since = self._abandoned = None
            self._flushing.clear()

    async def close(self) -> None:
        for remaining in await asyncio.gather(*(partition.close() for partition in self._partitions)):
            self._lose(remaining, *Tries().give_up(self._ending))
        if self._session:
            await self._session.close()

    async def reject(self, records: Sequence[ProducerRecord], reason: str) -> None:
        """Count records as dead, if they can be kept, or as failed; not those that would not be sent anyway."""
        self._counts.accepted += len(records)
        records = [record for record in records if self._accepts(record)]
        self._lose(records, NEVER_SENT, f"{NEVER_SENT}: {reason}")

    def statistics(self) -> SinkStatistics:
        """A copy of the current figures."""
        down = (self._clock.time_us() - self._outage.since) / SECOND if self._outage else 0.0
        return replace(super().statistics(), down_seconds=down)

    @property
    def _ending(self) -> str:
        """Why records are given up when the sink is closed."""
        return f"the stream ended while the server was down: {self._outage.reason}" if self._outage else STREAM_ENDED

    def _accepts(self, record: ProducerRecord) -> bool:
        """Whether to send a record; counts it if not."""
        try:
            unsendable = self._dialect.unsendable(record)
        except InvalidEvent as error:
            unsendable = Unsendable("not an event", f"not an event: {error}")
        if unsendable is None:
            return True
        if unsendable.problem is None:
            self._counts.omitted += 1
            self._counts.omissions[unsendable.kind] = self._counts.omissions.get(unsendable.kind, 0) + 1
        else:
            self._lose([record], unsendable.kind, unsendable.problem)
        return False

    async def _enqueue(self, partition: BoundedQueue, waiting: dict[BoundedQueue, Sequence[ProducerRecord]]) -> None:
        """Enqueue what waits for a partition, as there is room; the rest stays in `waiting`."""
        while waiting.get(partition):
            await partition.wait_until_free()
            waiting[partition] = partition.offer(waiting.get(partition, ()))

    async def _deliver(self, records: list[ProducerRecord]) -> None:
        """Send records until there is a final response, and count what became of them."""
        tries = Tries()
        try:
            response = await self._send(self._dialect.request(records), len(records), tries)
        except asyncio.CancelledError:
            self._lose(records, *tries.give_up(self._ending))
            raise
        except Exception as error:
            self._lose(records, UNKNOWN, f"{UNKNOWN}: {error!r}")
            raise
        if response is None:
            self._lose(records, *tries.give_up(self._auth_failure or self._abandoned or STREAM_ENDED))
        elif response.ok:
            self._settle(records, self._dialect.rejections(response, records, tries.made))
        else:
            if self._dialect.is_auth_failure(response):
                self._auth_failure = str(response)
            self._lose(records, response.kind, f"{response} (attempt {tries.made})")

    async def _send(self, request: HttpRequest, records: int, tries: Tries) -> HttpResponse | None:
        """Send a request, again if need be; returns the final response, or None if sending was given up before."""
        failed = 0
        while True:
            response = await self._attempt(request, records, tries)
            if response is None or (response.status and response.status not in TRANSIENT):
                return response
            asked = self._asked(response)
            if self._outage:
                if self._is_given_up(self._outage, tries, asked):
                    return response if tries.made else None
                continue
            failed += 1
            wait = self._retry.wait(failed, asked, self._random.random())
            if wait is None:
                return response
            await self._clock.sleep(wait)

    def _is_given_up(self, outage: Outage, tries: Tries, asked: float | None) -> bool:
        """Whether to end with a request that has just found the server down."""
        now = self._clock.time_us()
        if self._patience_left(outage) <= 0 or (self._flushing.is_set() and (asked or 0) > self._retry.patience):
            self._abandoned = f"the server is down: {outage.reason}"
            return True
        if tries.made and self._retry.attempts == 1:
            return True  # nothing is to be repeated
        if tries.made < self._retry.attempts or now - outage.suspected_since < self._retry.suspicion * SECOND:
            return False
        outage.suspected_since = now
        return True

    def _patience_left(self, outage: Outage) -> float:
        """Seconds for which a flush still waits for the server; infinite while there is none."""
        if self._flushing_since is None:
            return math.inf
        waited = self._clock.time_us() - max(outage.since, self._flushing_since)
        return self._retry.outage - waited / SECOND

    async def _wait_to_probe(self, outage: Outage) -> None:
        """Wait until it is time for the next probe; if a flush does not wait for so long, nothing more is sent."""
        while not self._abandoned and (rest := outage.next_probe - self._clock.time_us()) > 0:
            if self._patience_left(outage) <= 0:
                self._abandoned = f"the server is down: {outage.reason}"
                return
            sleep = self._clock.sleep(min(rest / SECOND, self._patience_left(outage)))
            if self._flushing.is_set():
                await sleep
            else:
                await _first(sleep, self._flushing.wait())

    async def _attempt(self, request: HttpRequest, records: int, tries: Tries) -> HttpResponse | None:
        """Send a request once its turn has come; returns None if nothing is sent any more."""
        if self._outage is None:
            return await self._exchange(request, records, tries)
        async with self._probing:
            if outage := self._outage:
                await self._wait_to_probe(outage)
                return await self._exchange(request, records, tries)
        return await self._exchange(request, records, tries)

    async def _exchange(self, request: HttpRequest, records: int, tries: Tries) -> HttpResponse | None:
        """Send a request and note what its response says about the server."""
        if self._auth_failure or self._abandoned:
            return None
        if tries.made:
            self._counts.retried += records
        tries.in_flight = True
        response = await self._post(request)  # cancelled here, it may have arrived
        tries.in_flight = False
        tries.last = response
        tries.made += response.failure != "no connection"
        if not response.ok:
            self._counts.failures[response.kind] = self._counts.failures.get(response.kind, 0) + 1
        if response.status in DOWN or response.failure:
            self._mark_down(response)
        else:
            self._outage = None
            if response.status in TRANSIENT:
                self._counts.last_error = str(response)
        return response

    def _mark_down(self, response: HttpResponse) -> None:
        now, reason = self._clock.time_us(), str(response)
        self._counts.last_error = reason
        wait = max(self._retry.probe, min(self._asked(response) or 0, self._retry.patience))
        next_probe = now + round(wait * SECOND)
        if self._outage:
            self._outage.next_probe, self._outage.reason = max(self._outage.next_probe, next_probe), reason
        else:
            self._outage = Outage(now, next_probe, reason, suspected_since=now)

    def _asked(self, response: HttpResponse) -> float | None:
        return retry_after(response.headers, self._clock.time_us())

    async def _post(self, request: HttpRequest) -> HttpResponse:
        assert self._session is not None, "open() comes first"
        try:
            async with self._session.post(
                self._url, data=request.body, headers=request.headers, allow_redirects=False
            ) as response:
                body, incomplete = await self._body(response)
                return HttpResponse(
                    response.status, response.headers, body, incomplete=incomplete, secrets=secrets_of(request.headers)
                )
        except TimeoutError:
            return HttpResponse(failure="no response", problem=f"no response within {self._timeout:g} s")
        except aiohttp.ClientConnectorError as error:
            return HttpResponse(failure="no connection", problem=str(error))
        except (aiohttp.ClientError, OSError) as error:
            return HttpResponse(failure="connection lost", problem=str(error) or type(error).__name__)

    async def _body(self, response: aiohttp.ClientResponse) -> tuple[bytes, str | None]:
        """The body, and why its rest is missing if it is. Only after the whole is the connection used again."""
        pieces, size, missing = list[bytes](), 0, None
        try:
            while missing is None and (piece := await response.content.readany()):
                pieces.append(piece)
                size += len(piece)
                if size > MAX_RESPONSE_BYTES:
                    missing = f"it is longer than {MAX_RESPONSE_BYTES:,} bytes"
        except TimeoutError:
            missing = f"it did not end within {self._timeout:g} s"
        except (aiohttp.ClientError, OSError) as error:
            missing = str(error) or type(error).__name__
        return b"".join(pieces), missing

    def _settle(self, records: Sequence[ProducerRecord], rejections: Sequence[Rejection]) -> None:
        self._counts.written += len(records) - len(rejections)
        for rejection in rejections:
            self._lose([rejection.record], rejection.kind, rejection.reason)

    def _lose(self, records: Sequence[ProducerRecord], kind: str, reason: str) -> None:
        """Keep records that were not written, or whose arrival is unknown, with the reason."""
        if not records:
            return
        self._counts.last_error = reason
        self._counts.count_reason(kind, len(records))
        kept = self._dead_letters.put(self.name, records, reason) if self._dead_letters else 0
        self._counts.dead += kept
        self._counts.failed += len(records) - kept
        if self._dead_letters and kept < len(records):
            self._counts.last_error = f"{reason}; {self._dead_letters.last_error}"
