"""The HTTP sink while its server is down: everything waits, little is asked, and nothing is lost that fits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise

import orjson
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.chains.sinks import DeadLetters, FanOut, HttpSink, JsonDialect, RetryPolicy, SinkStatistics
from eventbus.record import ProducerRecord
from tests.sinks.conftest import Reply, Server, kept, says, until
from tests.unit.chains.clocks import ManualClock

AWAY = 5.0
Hook = Callable[[], Awaitable[None]]


class TimedClock(ManualClock):
    """A clock that calls a function once a moment has come."""

    def __init__(self) -> None:
        super().__init__()
        self.begin = self.now
        self.alarms: list[tuple[float, Hook]] = []

    @property
    def passed(self) -> float:
        return (self.now - self.begin) / 1e6

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        for alarm in [alarm for alarm in self.alarms if alarm[0] <= self.passed]:
            self.alarms.remove(alarm)
            await alarm[1]()


@pytest.fixture
def clock() -> TimedClock:
    return TimedClock()


def numbered(count: int, keys: int = 50) -> list[ProducerRecord]:
    return [ProducerRecord("t", b"%d" % (number % keys), b'{"n":%d}' % number, 0) for number in range(count)]


def numbers(server: Server) -> list[int]:
    return [item["n"] for item in server.items]  # type: ignore[index]


def away(clock: TimedClock, seconds: float, during: Reply, asked: list[float]) -> Reply:
    """A reply that is `during` for so many seconds, then 200; `asked` gets the times of requests meanwhile."""

    async def reply(request: web.Request) -> web.StreamResponse:
        if clock.passed < seconds:
            asked.append(clock.passed)
            return await during(request)
        return web.Response()

    return reply


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@pytest.mark.parametrize("connections", [1, 8])
@pytest.mark.parametrize(
    "during", [says(502), says(503), says(504), says(429), hang_up], ids=["502", "503", "504", "429", "hang up"]
)
async def test_a_server_that_is_away_for_five_seconds_loses_nothing(
    server: Server, clock: TimedClock, dead: DeadLetters, during: Reply, connections: int
) -> None:
    """All that was published before, during and after arrives; meanwhile the server is asked once a second."""
    asked: list[float] = []
    server.replies = [away(clock, AWAY, during, asked)] * 10_000
    sink = HttpSink(
        server.url, JsonDialect(), connections=connections, dead_letters=dead, clock=clock,
        retry=RetryPolicy(attempts=2),
    )  # fmt: skip
    fan = FanOut.to(sink, when_full="drop", clock=clock)
    await fan.open()
    sent = numbered(1000)
    for first in range(0, len(sent), 100):
        await fan.publish_many(sent[first : first + 100])
    await fan.flush()
    await fan.close()
    [statistics] = fan.statistics().values()
    assert (statistics.written, statistics.lost, statistics.pending) == (len(sent), 0, 0)
    assert kept(dead) == []
    assert set(numbers(server)) == set(range(len(sent)))
    assert connections <= len(asked) <= connections + AWAY
    probes = asked[connections:]
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(probes))
    assert sum(statistics.failures.values()) == len(asked)


async def test_a_server_that_starts_late_gets_everything(
    clock: TimedClock, unused_tcp_port: int, dead: DeadLetters
) -> None:
    """Nobody listens for five seconds; then the events arrive in their order, each once."""
    arrived: list[int] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        arrived.extend(item["n"] for item in orjson.loads(await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    clock.alarms.append((AWAY, web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start))
    url = f"http://127.0.0.1:{unused_tcp_port}/"
    sink = HttpSink(url, JsonDialect(batch=10), connections=4, dead_letters=dead, clock=clock)
    fan = FanOut.to(sink, when_full="drop", clock=clock)
    await fan.open()
    sent = numbered(500, keys=1)
    await fan.publish_many(sent)
    await fan.flush()
    await fan.close()
    await runner.cleanup()
    assert arrived == list(range(len(sent)))
    statistics = fan.statistics()[f"http:{url}"]
    assert (statistics.written, statistics.lost) == (len(sent), 0)
    assert statistics.failures == {"no connection": 5}
    assert AWAY <= clock.passed < AWAY + 1


async def test_a_server_that_is_silent_is_down(server: Server, clock: TimedClock) -> None:
    """Without a response in time the server counts as down, and the same events are sent once it is back."""
    never = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    server.replies = [silent] * 2
    sink = HttpSink(server.url, JsonDialect(), connections=1, timeout=0.05, clock=clock)
    statistics = await write_all(sink, numbered(3))
    never.set()
    assert (statistics.written, statistics.lost, statistics.failures) == (3, 0, {"no response": 2})


async def write_all(sink: HttpSink, sent: list[ProducerRecord]) -> SinkStatistics:
    await sink.open()
    await sink.write(sent)
    await sink.flush()
    await sink.close()
    return sink.statistics()


async def test_after_an_outage_an_event_has_all_its_attempts(server: Server, clock: TimedClock) -> None:
    """Failures of the server itself do not count: the first 500 after an outage is followed by another attempt."""
    server.replies = [says(status) for status in (503, 503, 503, 500, 500, 200)]
    sink = HttpSink(server.url, JsonDialect(), retry=RetryPolicy(attempts=3), connections=1, clock=clock)
    statistics = await write_all(sink, numbered(2))
    assert (statistics.written, statistics.failed) == (2, 0)
    assert numbers(server) == [0] * 6 + [1]


async def test_retry_after_sets_the_time_of_the_probe(server: Server, clock: TimedClock) -> None:
    """A server that asks for more than a second is left alone for as long, on all connections."""
    asked: list[float] = []
    server.replies = [away(clock, 100, says(503, headers={"Retry-After": "20"}), asked)] * 1000
    sink = HttpSink(server.url, JsonDialect(), connections=3, retry=RetryPolicy(outage=200), clock=clock)
    statistics = await write_all(sink, numbered(100))
    assert (statistics.written, statistics.lost) == (100, 0)
    assert asked == pytest.approx([0, 0, 0, 20, 40, 60, 80], abs=1e-3)


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("asked", ["86400", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"], ids=["day", "digits", "date"])
async def test_a_wait_without_end_is_limited(server: Server, clock: TimedClock, status: int, asked: str) -> None:
    """However long a server asks to be left alone, the sink lives, and asks again after the longest wait."""
    server.replies = [says(status, headers={"Retry-After": asked})]
    sink = HttpSink(server.url, JsonDialect(), connections=1, clock=clock)
    await sink.open()
    await sink.write(numbered(1))
    await until(lambda: sink.statistics().pending == 0)
    await sink.close()
    assert sink.statistics().written == 1
    assert 300 <= clock.passed < 301


async def test_at_the_end_what_waits_is_never_sent(server: Server, clock: TimedClock, dead: DeadLetters) -> None:
    """A flush waits half a minute for a server that is down; the events that it never saw are kept with that reason."""
    server.replies = [says(503, "gone")] * 1000
    sink = HttpSink(server.url, JsonDialect(), connections=2, dead_letters=dead, clock=clock)
    fan = FanOut.to(sink, when_full="drop", clock=clock)
    await fan.open()
    sent = numbered(200)
    await fan.publish_many(sent)
    await fan.flush()
    assert 30 <= clock.passed < 32
    await fan.close()
    [statistics] = fan.statistics().values()
    assert (statistics.written, statistics.dead, statistics.pending) == (0, len(sent), 0)
    assert statistics.reasons == {"503 Service Unavailable": 2, "never sent": 198}
    assert statistics.failures == {"503 Service Unavailable": len(server.bodies)}
    letters = kept(dead)
    assert sorted(letter["event"]["n"] for letter in letters) == list(range(len(sent)))
    tried = {letter["event"]["n"] for letter in letters if letter["reason"].startswith("503 gone (attempt ")}
    assert tried == set(numbers(server))
    others = {letter["reason"] for letter in letters if letter["event"]["n"] not in tried}
    assert others == {"never sent: the server is down: 503 gone"}


async def test_nobody_there_means_never_sent(clock: TimedClock, unused_tcp_port: int) -> None:
    """A refused connection is no attempt: at the end not a single event was sent."""
    sink = HttpSink(f"http://127.0.0.1:{unused_tcp_port}/", JsonDialect(batch=3), connections=2, clock=clock)
    statistics = await write_all(sink, numbered(20))
    assert (statistics.accepted, statistics.failed, statistics.pending) == (20, 20, 0)
    assert (statistics.reasons, statistics.retried) == ({"never sent": 20}, 0)
    assert "Cannot connect" in (statistics.last_error or "")


async def test_beyond_the_queue_events_are_kept_as_never_sent(
    server: Server, clock: TimedClock, dead: DeadLetters
) -> None:
    """Memory is bounded: what finds the queue full goes to the dead letters, and all that had room is sent later."""
    server.replies = [away(clock, AWAY, says(503), [])] * 1000
    sink = HttpSink(server.url, JsonDialect(), connections=1, dead_letters=dead, clock=clock)
    fan = FanOut.to(sink, when_full="drop", capacity=100, clock=clock)
    await fan.open()
    sent = numbered(500)
    await fan.publish_many(sent)
    await fan.flush()
    await fan.close()
    [statistics] = fan.statistics().values()
    assert (statistics.accepted, statistics.written, statistics.dead, statistics.dropped) == (500, 100, 400, 0)
    assert statistics.reasons == {"never sent": 400}
    letters = kept(dead)
    assert {letter["reason"] for letter in letters} == {"never sent: 100 events were waiting before it"}
    assert [letter["event"]["n"] for letter in letters] == list(range(100, 500))


async def test_closing_during_an_outage_keeps_everything(server: Server, clock: TimedClock, dead: DeadLetters) -> None:
    """Stopped while the server is down, each event is a dead letter that says whether it was sent."""
    server.replies = [says(503)] * 1000
    sink = HttpSink(server.url, JsonDialect(), connections=1, dead_letters=dead, clock=clock)
    fan = FanOut.to(sink, when_full="drop", clock=clock)
    await fan.open()
    await fan.publish_many(numbered(50))
    await until(lambda: len(server.bodies) >= 3)
    assert fan.statistics()[sink.name].down_seconds >= 1
    await fan.close()
    letters = kept(dead)
    assert sorted(letter["event"]["n"] for letter in letters) == list(range(50))
    unsent = [letter for letter in letters if letter["reason"].startswith("never sent: the stream ended")]
    assert len(unsent) == 49
    [statistics] = fan.statistics().values()
    assert (statistics.dead, statistics.pending, sum(statistics.reasons.values())) == (50, 0, 50)


@pytest.mark.parametrize("connections", [1, 4])
async def test_an_event_that_brings_the_server_down_is_given_up_alone(
    server: Server, clock: TimedClock, dead: DeadLetters, connections: int
) -> None:
    """A request that always ends in a 504 looks like an outage; after its attempts only its event is a dead letter."""

    async def reply(request: web.Request) -> web.StreamResponse:
        return web.Response(status=504 if b'"n":7}' in await request.read() else 200)

    server.replies = [reply] * 10_000
    sink = HttpSink(server.url, JsonDialect(), connections=connections, dead_letters=dead, clock=clock)
    await sink.open()
    await sink.write(numbered(100))
    await until(lambda: sink.statistics().pending == 0)
    await sink.close()
    statistics = sink.statistics()
    assert (statistics.written, statistics.dead) == (99, 1)
    [letter] = kept(dead)
    assert letter["event"]["n"] == 7
    assert numbers(server).count(7) >= 6


async def test_an_end_that_does_not_wait_gives_up_nothing_before(server: Server, clock: TimedClock) -> None:
    """With an outage of 0 seconds events wait all the same while the stream goes on; only its end is not held up."""
    server.replies = [away(clock, 20, says(503), [])] * 1000
    sink = HttpSink(server.url, JsonDialect(), retry=RetryPolicy(attempts=2, outage=0), connections=1, clock=clock)
    await sink.open()
    await sink.write(numbered(4))
    await until(lambda: sink.statistics().pending == 0)
    await sink.close()
    assert sink.statistics().written == 4
    clock.begin = clock.now
    statistics = await write_all(sink, numbered(4))
    assert (statistics.written, statistics.failed, clock.passed) == (4, 4, 0)


async def test_with_a_single_attempt_nothing_is_sent_twice(server: Server, clock: TimedClock) -> None:
    """Whoever turned retries off gets none: the events that found the server down have failed, the others waited."""
    asked: list[float] = []
    server.replies = [away(clock, AWAY, says(503), asked)] * 1000
    sink = HttpSink(server.url, JsonDialect(), retry=RetryPolicy(attempts=1), connections=1, clock=clock)
    statistics = await write_all(sink, numbered(50))
    assert numbers(server) == list(range(50))
    assert (statistics.failed, statistics.written, statistics.retried) == (len(asked), 50 - len(asked), 0)
    assert 5 <= len(asked) <= 6


async def test_a_server_that_comes_and_goes_is_followed(server: Server, clock: TimedClock) -> None:
    """Three outages in one stream cost nothing, and the statistics tell when the server is down."""
    server.replies = [says(503)] * 2 + [says()] * 5 + [says(502)] * 3 + [says()] * 5 + [says(429)]
    sink = HttpSink(server.url, JsonDialect(), connections=1, clock=clock)
    statistics = await write_all(sink, numbered(20))
    assert (statistics.written, statistics.lost, statistics.down_seconds) == (20, 0, 0.0)
    assert statistics.failures == {"503 Service Unavailable": 2, "502 Bad Gateway": 3, "429 Too Many Requests": 1}


@dataclass(frozen=True)
class Run:
    """A stream of 40 events to a server that gives these statuses, then 200; 0 hangs up."""

    statuses: list[int]
    connections: int
    batch: int
    capacity: int
    is_cut_short: bool


RUNS = st.builds(
    Run,
    statuses=st.lists(st.sampled_from([200, 200, 200, 400, 401, 408, 429, 500, 502, 503, 504, 0]), max_size=40),
    connections=st.integers(1, 4),
    batch=st.integers(2, 4),
    capacity=st.integers(1, 30),
    is_cut_short=st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(RUNS)
def test_every_event_is_accounted_for(tmp_path_factory: pytest.TempPathFactory, run: Run) -> None:
    """Whatever the server does, and also if the stream is stopped: each event is written or a dead letter, exactly
    once; the written ones had a 200, and those that were never sent never reached the server."""
    asyncio.run(account(DeadLetters(tmp_path_factory.mktemp("letters") / "dead.jsonl"), run))


async def account(dead: DeadLetters, run: Run) -> None:
    seen: set[int] = set()
    taken: set[int] = set()
    script = iter(run.statuses)

    async def handle(request: web.Request) -> web.StreamResponse:
        items = [item["n"] for item in orjson.loads(await request.read())]
        seen.update(items)
        status = next(script, 200)
        if status == 0:
            return await hang_up(request)
        if status == 200:
            taken.update(items)
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    clock = ManualClock()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    dialect = JsonDialect(batch=run.batch)
    sink = HttpSink(url, dialect, connections=run.connections, dead_letters=dead, clock=clock)
    fan = FanOut.to(sink, when_full="drop", capacity=run.capacity, clock=clock)
    await fan.open()
    sent = numbered(40, keys=7)
    for first in range(0, len(sent), 8):
        await fan.publish_many(sent[first : first + 8])
    if not run.is_cut_short:
        await fan.flush()
    await fan.close()
    await runner.cleanup()
    dead.close()
    [statistics] = fan.statistics().values()
    letters = kept(dead)
    numbers_of_letters = [letter["event"]["n"] for letter in letters]
    never_sent = {letter["event"]["n"] for letter in letters if letter["reason"].startswith("never sent: ")}
    assert (statistics.failed, statistics.dropped, statistics.pending) == (0, 0, 0)
    assert statistics.written + statistics.dead == len(sent)
    assert len(set(numbers_of_letters)) == len(letters) == statistics.dead == sum(statistics.reasons.values())
    assert not never_sent & seen
    assert set(range(len(sent))) - set(numbers_of_letters) <= taken
