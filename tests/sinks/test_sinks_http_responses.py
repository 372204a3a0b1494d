"""How the HTTP sink reads responses: whole, however they arrive; what they leave open is never counted as written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from eventbus.chains.sinks import DeadLetters, HttpSink, JsonDialect, OpenPanelDialect, SinkStatistics
from eventbus.chains.sinks.bodies import HttpResponse
from eventbus.chains.sinks.http import MAX_RESPONSE_BYTES
from eventbus.record import ProducerRecord
from tests.sinks.conftest import Reply, Server, records, says

CLIENT = "0190a0b0-0000-4000-8000-00000000000a"


def numbered(count: int) -> list[ProducerRecord]:
    return [ProducerRecord("t", b"k", b'{"n":%d}' % number, 0) for number in range(count)]


def verdicts(items: int) -> bytes:
    """Every odd item is refused, with as many words as a real server has."""
    details = [{"field": "payload.x", "message": "unknown field"}]
    return orjson.dumps(
        {
            "results": [
                {"verdict": "invalid", "details": details} if index % 2 else {"verdict": "accepted"}
                for index in range(items)
            ]
        }
    )


def in_pieces(body: Callable[[int], bytes], size: int) -> Reply:
    """A reply to a list of items that sends its body in pieces of this many bytes, each in a packet of its own."""

    async def reply(request: web.Request) -> web.StreamResponse:
        text = body(len(orjson.loads(await request.read())))
        response = web.StreamResponse(headers={"content-length": str(len(text))})
        await response.prepare(request)
        for begin in range(0, len(text), size):
            await response.write(text[begin : begin + size])
            await asyncio.sleep(0)
        return response

    return reply


def broken_off(body: bytes, missing: int) -> Reply:
    """A reply whose connection is closed before the last bytes that it promised."""

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": str(len(body) + missing)})
        await response.prepare(request)
        await response.write(body)
        assert request.transport is not None
        request.transport.close()
        return response

    return reply


async def send(
    server: Server, sent: list[ProducerRecord], folder: Path, batch: int, timeout: float = 10.0
) -> tuple[SinkStatistics, list[dict[str, Any]]]:
    """The figures and the dead letters after records went over a single connection."""
    dead = DeadLetters(folder / "dead.jsonl")
    dialect = JsonDialect(batch=batch)
    sink = HttpSink(server.url, dialect, connections=1, dead_letters=dead, timeout=timeout)
    await sink.open()
    await sink.write(sent)
    await sink.flush()
    await sink.close()
    dead.close()
    lines = dead.path.read_bytes().splitlines() if dead.path.exists() else []
    return sink.statistics(), [orjson.loads(line) for line in lines]


@pytest.mark.parametrize(("batch", "size"), [(10, 1), (10, 7), (500, 1000), (5000, 1 << 20), (5000, 65_536)])
async def test_a_response_is_read_to_its_end_in_pieces_of_any_size(
    server: Server, tmp_path: Path, batch: int, size: int
) -> None:
    """Every second event is refused and becomes a dead letter, however long the response is and however it arrives."""
    server.replies = [in_pieces(verdicts, size)] * 3
    sent = numbered(3 * batch)
    statistics, letters = await send(server, sent, tmp_path, batch)
    assert (statistics.written, statistics.dead, statistics.pending) == (len(sent) // 2, len(sent) // 2, 0)
    assert [letter["event"]["n"] for letter in letters] == list(range(1, len(sent), 2))


async def test_a_connection_serves_many_requests(server: Server, tmp_path: Path) -> None:
    """After responses in pieces the same connection is used again."""
    ports: set[int] = set()
    reply = in_pieces(verdicts, 3)

    async def note(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return await reply(request)

    server.replies = [note] * 20
    statistics, _ = await send(server, numbered(200), tmp_path, 10)
    assert (len(server.bodies), len(ports)) == (20, 1)
    assert statistics.written == 100


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"results": [{"verdict": "accepted"}, {"verd', "not JSON"),
        (b'{"results": [{"verdict": "accepted"}]}', "expected a result for each of 3 events, got 1"),
        (b'{"results": [' + b'{"verdict": "accepted"},' * 3 + b'{"verdict": "accepted"}]}', "3 events, got 4"),
        (b'{"results": []}', "got 0"),
        (b'{"results": null}', "expected a list of results, got null"),
        (b'{"results": ["accepted", "accepted", "accepted"]}', 'got "accepted"'),
        (b'{"results": [{"verdict": "accepted"}, {"verdict": "perhaps"}, {"verdict": "accepted"}]}', "perhaps"),
        (b'{"results": [{"verdict": "accepted"}, {"verdict": []}, {"verdict": "accepted"}]}', "verdict"),
    ],
)
async def test_verdicts_that_cannot_be_read_leave_events_unknown(
    server: Server, tmp_path: Path, body: bytes, said: str
) -> None:
    """Not JSON, too few or too many, or another word: no event counts as written, and each is kept with the reason."""
    server.replies = [says(202, body.decode())]
    statistics, letters = await send(server, numbered(3), tmp_path, 3)
    assert (statistics.written, statistics.dead, statistics.failed) == (0, 3, 0)
    assert len(letters) == 3
    for letter in letters:
        assert letter["reason"].startswith("unknown whether the server took this: ")
        assert said in letter["reason"]


@pytest.mark.parametrize("cut", [0, 1, 15, 60])
async def test_a_response_that_is_cut_off_leaves_events_unknown(server: Server, tmp_path: Path, cut: int) -> None:
    """The connection ends inside the verdicts: nothing counts as written, and nothing is sent twice."""
    whole = verdicts(3)
    server.replies = [broken_off(whole[:cut], len(whole) - cut)]
    statistics, letters = await send(server, numbered(3), tmp_path, 3)
    assert (statistics.written, statistics.dead, len(server.bodies)) == (0, 3, 1)
    assert {letter["reason"].split(":")[0] for letter in letters} == {"unknown whether the server took this"}


async def test_a_response_without_an_end_is_left_at_the_limit(server: Server, tmp_path: Path) -> None:
    """A JSON object longer than the limit may hide a verdict, so its events are unknown; the next request works."""
    piece = b'{"padding": "' + b" " * (1 << 20)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(2 * MAX_RESPONSE_BYTES // len(piece)):
            await response.write(piece)
        return response

    server.replies = [endless]
    statistics, letters = await send(server, numbered(4), tmp_path, 2)
    assert (statistics.written, statistics.dead) == (2, 2)
    assert "longer than 16,777,216 bytes" in letters[0]["reason"]


async def test_a_response_that_stalls_leaves_events_unknown(server: Server, tmp_path: Path) -> None:
    """The status came in time and the body did not: the server may have taken the events, which are not sent again."""
    never = asyncio.Event()

    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"results"')
        await never.wait()
        return response

    server.replies = [stall]
    statistics, letters = await send(server, numbered(2), tmp_path, 2, timeout=0.1)
    never.set()
    assert (statistics.written, statistics.dead, len(server.bodies)) == (0, 2, 1)
    assert "did not end within 0.1 s" in letters[0]["reason"]


@pytest.mark.parametrize(
    "body", ["", "ok", "<html>" + "x" * 100_000, '{"stored": 3}', '{"page": {"results": [1]}}', "[]"]
)
async def test_without_verdicts_the_status_counts(server: Server, tmp_path: Path, body: str) -> None:
    """A success that says nothing of single events has taken them all."""
    server.replies = [says(200, body)]
    statistics, letters = await send(server, numbered(3), tmp_path, 3)
    assert (statistics.written, letters) == (3, [])


async def test_long_text_that_is_cut_off_has_no_verdicts(server: Server, tmp_path: Path) -> None:
    """What begins like a page is no list of verdicts, however it ends."""
    server.replies = [broken_off(b"<html>", 100)]
    statistics, _ = await send(server, numbered(3), tmp_path, 3)
    assert statistics.written == 3


def test_openpanel_leaves_an_event_unknown_after_half_a_response() -> None:
    """Its responses tell bots and duplicates by their bodies, so half a body tells nothing."""
    sent = records(1)[:1]
    dialect = OpenPanelDialect(CLIENT, "secret")
    rejections = dialect.rejections(HttpResponse(202, body=b'{"dev', incomplete="closed"), sent, 1)
    assert [rejection.reason for rejection in rejections] == [
        "unknown whether the server took this: the response is cut off: closed"
    ]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["accepted", "invalid", "dropped", "x"]),
    lambda values: (
        st.lists(values, max_size=4) | st.dictionaries(st.sampled_from(["results", "verdict", "y"]), values, max_size=3)
    ),
    max_leaves=12,
)


@given(JSON_VALUES, st.integers(1, 4))
def test_an_event_counts_as_written_only_by_status_or_by_its_own_verdict(document: object, items: int) -> None:
    """Whatever JSON a server answers: without `results` all are written; with them, those that are `accepted` are, in a
    list of the right length in which every verdict is known."""
    rejections = JsonDialect(batch=4).rejections(HttpResponse(200, body=orjson.dumps(document)), numbered(items), 1)
    written = items - len(rejections)
    if not isinstance(document, dict) or "results" not in document:
        assert written == items
        return
    results = document["results"]
    words = (
        [result.get("verdict") for result in results if isinstance(result, dict)] if isinstance(results, list) else []
    )
    is_readable = (
        isinstance(results, list)
        and len(results) == items == len(words)
        and all(isinstance(word, str) and word in ("accepted", "invalid", "dropped") for word in words)
    )
    assert written == (words.count("accepted") if is_readable else 0)
