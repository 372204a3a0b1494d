"""The HTTP sink against a real server: what arrives, what is tried again, and where the rest is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from eventbus.chains.errors import SinkUnusable
from eventbus.chains.sinks import DeadLetters, HttpSink, JsonDialect, RetryPolicy, SinkStatistics, analytics_body
from eventbus.chains.sinks.http import retry_after
from eventbus.record import ProducerRecord
from tests.sinks.conftest import Server, after, events, records, says
from tests.unit.chains.clocks import ManualClock

OPENED = 1_700_000_000_000_000


async def send(sink: HttpSink, sent: list[ProducerRecord]) -> SinkStatistics:
    await sink.open()
    try:
        await sink.write(sent)
        await sink.flush()
    finally:
        await sink.close()
    return sink.statistics()


def letters(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


async def test_one_event_per_request(server: Server) -> None:
    """By default each request carries one event as it is, and all arrive."""
    sent = records()
    statistics = await send(HttpSink(server.url, JsonDialect()), sent)
    assert sorted(server.bodies) == sorted(record.value or b"" for record in sent)
    assert {headers["content-type"] for headers in server.headers} == {"application/json"}
    assert statistics == SinkStatistics(accepted=len(sent), written=len(sent))


@pytest.mark.parametrize("connections", [1, 8])
async def test_a_chain_stays_in_order(server: Server, connections: int) -> None:
    """Over many connections and in batches, the events of a chain arrive in their order."""
    sent = records(50)
    server.replies = [after(n * 37 % 11 * 30, says()) for n in range(len(sent))]
    await send(HttpSink(server.url, JsonDialect(batch=7), connections=connections), sent)
    arrived: Any = server.items
    assert max(map(len, map(orjson.loads, server.bodies))) <= 7
    for key in {record.key for record in sent}:
        wanted = events([record for record in sent if record.key == key])
        assert [item for item in arrived if item["correlation_id"].encode() == key] == wanted


async def test_headers_of_the_user_are_sent(server: Server) -> None:
    """A key in a header reaches the server."""
    await send(HttpSink(server.url, JsonDialect(headers={"x-api-key": "k"})), records(1))
    assert {headers["x-api-key"] for headers in server.headers} == {"k"}


async def test_the_analytics_body(server: Server) -> None:
    """The short body has its seven fields; what the payload does not say comes from the envelope."""
    [record, *_] = records(1)
    await send(HttpSink(server.url, JsonDialect(analytics_body)), [record])
    event = orjson.loads(record.value or b"")
    assert server.items == [
        {
            "site_id": "default-tenant",
            "event_type": event["event_type"],
            "path": None,
            "user_id": None,
            "timestamp": event["timestamp"],
            "session_id": event["correlation_id"],
            "properties": event["payload"],
        }
    ]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_tried_again(server: Server, clock: ManualClock, status: int) -> None:
    """After an answer that may pass, the same body is sent again, and counted once as written."""
    server.replies = [says(status)] * 2
    [record, *_] = records(1)
    statistics = await send(HttpSink(server.url, JsonDialect(), clock=clock), [record])
    assert server.bodies == [record.value] * 3
    assert (statistics.written, statistics.retried, statistics.lost, statistics.pending) == (1, 2, 0, 0)


@pytest.mark.parametrize("status", [301, 400, 403, 404, 413, 422])
async def test_what_is_final_is_not_tried_again(server: Server, tmp_path: Path, status: int) -> None:
    """Any other answer is final: the event becomes a dead letter with the server's words."""
    server.replies = [says(status, "no, thank you")]
    [record, *_] = records(1)
    dead = DeadLetters(tmp_path / "dead.jsonl")
    statistics = await send(HttpSink(server.url, JsonDialect(), dead_letters=dead), [record])
    assert len(server.bodies) == 1
    assert (statistics.written, statistics.dead, statistics.failed) == (0, 1, 0)
    [letter] = letters(dead.path)
    assert letter["event"] == orjson.loads(record.value or b"")
    assert letter["reason"] == f"{status} no, thank you (attempt 1)"
    dead.close()


async def test_attempts_end(server: Server, clock: ManualClock) -> None:
    """After the last attempt an event without a place for dead letters has failed, and the account says why."""
    server.replies = [says(500, "closed")] * 9
    sink = HttpSink(server.url, JsonDialect(), retry=RetryPolicy(attempts=4), clock=clock)
    statistics = await send(sink, records(1)[:1])
    assert len(server.bodies) == 4
    assert (statistics.written, statistics.failed, statistics.retried) == (0, 1, 3)
    assert statistics.last_error == "500 closed (attempt 4)"


async def test_back_off_doubles_with_full_jitter(server: Server, clock: ManualClock) -> None:
    """The waits are those that the random numbers give, each below twice the bound before it."""
    server.replies = [says(500)] * 4
    begin = clock.now
    retry = RetryPolicy(attempts=5, first=1.0, longest=3.0)
    await send(HttpSink(server.url, JsonDialect(), retry=retry, clock=clock, random=Random(5)), records(1)[:1])
    draws = Random(5)
    expected = sum(draws.random() * bound for bound in (1.0, 2.0, 3.0, 3.0))
    assert (clock.now - begin) / 1e6 == pytest.approx(expected, abs=1e-4)


@given(st.integers(1, 50), st.floats(0, 1), st.none() | st.floats(0, 300))
def test_a_wait_keeps_its_bounds(attempt: int, draw: float, asked: float | None) -> None:
    """A wait is no shorter than the server asks, no longer than that and the bound, and there are only so many."""
    retry = RetryPolicy(attempts=10)
    wait = retry.wait(attempt, asked, draw)
    assert (wait is None) == (attempt >= 10)
    if wait is not None:
        assert (asked or 0) <= wait <= (asked or 0) + min(30, 0.5 * 2 ** (attempt - 1))


async def test_retry_after_is_obeyed(server: Server, clock: ManualClock) -> None:
    """The next attempt comes no earlier than the server asks for."""
    seen: list[int] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(clock.now)
        return web.Response()

    server.replies = [says(429, headers={"Retry-After": "120"}), note]
    begin = clock.now
    await send(HttpSink(server.url, JsonDialect(), retry=RetryPolicy(outage=200), clock=clock), records(1)[:1])
    assert seen[0] - begin >= 120e6


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("9" * 400, float("inf")),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("-1", None),
    ],
)
def test_retry_after_is_read(text: str, seconds: float | None) -> None:
    """Seconds, or a date; anything else counts as not given."""
    assert retry_after({"Retry-After": text}, OPENED) == seconds


@given(
    st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,9} [A-Z][a-z]{2} \d{1,9} \d+:\d+:\d+ ([+-]\d+|GMT)", fullmatch=True)
)
def test_retry_after_may_be_any_text(text: str) -> None:
    """Whatever a server writes there, it is a delay or none."""
    seconds = retry_after({"Retry-After": text}, OPENED)
    assert seconds is None or seconds >= 0


async def test_an_event_that_the_server_trips_over_does_not_stop_the_others(server: Server, clock: ManualClock) -> None:
    """A 500 to the end is about one request: the next is sent as usual."""
    server.replies = [says(500)] * 3
    sink = HttpSink(server.url, JsonDialect(), retry=RetryPolicy(attempts=3), connections=1, clock=clock)
    statistics = await send(sink, records(3)[:3])
    assert (statistics.failed, statistics.written) == (1, 2)


async def test_after_a_401_nothing_more_is_sent(server: Server) -> None:
    """Refused credentials stay refused: the server is left in peace, and everything else is counted."""
    server.replies = [says(401, "who are you?")]
    sent = records(20)
    statistics = await send(HttpSink(server.url, JsonDialect(), connections=1), sent)
    assert len(server.bodies) == 1
    assert statistics.failed == len(sent)
    assert "who are you?" in (statistics.last_error or "")


async def test_verdicts_per_item_are_read(server: Server, tmp_path: Path) -> None:
    """A success that names items it did not take counts only the others as written."""
    sent = records(2)[:3]
    results = [{"verdict": "accepted"}, {"verdict": "invalid", "details": "why"}, {"verdict": "accepted"}]
    server.replies = [says(202, orjson.dumps({"accepted": 2, "results": results}).decode())]
    dead = DeadLetters(tmp_path / "dead.jsonl")
    sink = HttpSink(server.url, JsonDialect(batch=10), connections=1, dead_letters=dead)
    statistics = await send(sink, sent)
    assert (statistics.written, statistics.dead) == (2, 1)
    [letter] = letters(dead.path)
    assert letter["event"] == orjson.loads(sent[1].value or b"")
    assert "why" in letter["reason"]
    dead.close()


@pytest.mark.parametrize("body", [None, analytics_body])
async def test_poison_does_not_spoil_a_batch(server: Server, body: Callable[[ProducerRecord], bytes] | None) -> None:
    """What is not JSON, or not the event that the body is made from, is given up alone."""
    sent = records(2)
    poison = sent[0]._replace(value=b"\xff{")
    statistics = await send(HttpSink(server.url, JsonDialect(body, batch=100), connections=1), [*sent, poison])
    assert (statistics.written, statistics.failed) == (len(sent), 1)
    assert len(server.items) == len(sent)


async def test_closing_accounts_for_everything(server: Server, tmp_path: Path) -> None:
    """Closed while requests are under way and others wait, every event is written or a dead letter."""
    never, asked = asyncio.Event(), asyncio.Event()

    async def silent(request: web.Request) -> web.Response:
        asked.set()
        await never.wait()
        return web.Response()

    server.replies = [silent]
    sent = records(20)
    dead = DeadLetters(tmp_path / "dead.jsonl")
    sink = HttpSink(server.url, JsonDialect(), connections=1, dead_letters=dead)
    await sink.open()
    writing = asyncio.ensure_future(sink.write(sent))
    await asked.wait()
    writing.cancel()
    await asyncio.wait([writing])
    await sink.close()
    never.set()
    statistics = sink.statistics()
    assert (statistics.written, statistics.dead, statistics.pending) == (0, len(sent), 0)
    assert {letter["event"]["event_id"] for letter in letters(dead.path)} == {
        orjson.loads(record.value or b"")["event_id"] for record in sent
    }
    dead.close()


async def test_without_room_for_dead_letters_events_have_failed(server: Server, tmp_path: Path) -> None:
    """A dead-letter file that cannot be written is no place: the events are counted as failed."""
    server.replies = [says(400)]
    dead = DeadLetters(tmp_path / "no" / "such" / "folder.jsonl")
    statistics = await send(HttpSink(server.url, JsonDialect(), dead_letters=dead), records(1)[:1])
    assert (statistics.dead, statistics.failed) == (0, 1)
    assert "folder.jsonl cannot be written: No such file or directory" in (statistics.last_error or "")


@pytest.mark.parametrize("url", ["ftp://host/", "localhost:80", ""])
def test_an_address_must_be_one(url: str) -> None:
    """Another scheme, or none, is refused at once."""
    with pytest.raises(SinkUnusable, match="begins with http"):
        HttpSink(url, JsonDialect())
