"""Live events through real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from eventbus.api import LiveFeed, Server
from eventbus.api.live.feed import Subscriber
from eventbus.api.live.frames import TEXT
from eventbus.event import Event
from eventbus.inprocess import InProcessBus
from tests.api.waiting import until

STREAM = "/api/event-bus/stream"
PLENTY = 400


def step(number: int, tenant: str = "t", filler: str = "") -> Event:
    return Event.new("omninode.agent.step.done.v1", {"n": number, "filler": filler}, tenant_id=tenant)


async def sse_of(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The messages of an event stream, as their fields."""
    message: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            message[name] = value
        elif message:
            yield message
            message = {}


async def clients_there(feed: LiveFeed, count: int) -> None:
    await until(lambda: feed.statistics().clients == count)


async def test_sse_clients_get_frames_with_ids(server: Server, bus: InProcessBus) -> None:
    """An `events` message has the frame as JSON, and an id from which to continue."""
    async with httpx.AsyncClient() as client, client.stream("GET", server.url + STREAM) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        event = step(1)
        await bus.publish(event)
        message = await anext(sse_of(answer))
    assert message["event"] == "events"
    assert message["id"].endswith("-1")
    assert orjson.loads(message["data"]) == {"seq_from": 1, "seq_to": 1, "skipped": 0, "events": [event.to_dict()]}


async def test_websocket_clients_get_the_same_frames(server: Server, bus: InProcessBus) -> None:
    """JSON texts, and filters in the query."""
    url = f"{server.url.replace('http', 'ws')}/ws/events?tenant_id=wanted"
    async with connect(url) as websocket:
        event = step(2, "wanted")
        await bus.publish_many([step(1), event])
        frame = orjson.loads(await websocket.recv())
    assert frame == {"seq_from": 2, "seq_to": 2, "skipped": 0, "events": [event.to_dict()]}


async def test_a_returning_client_continues_where_it_was(server: Server, bus: InProcessBus, feed: LiveFeed) -> None:
    """Last-Event-ID takes precedence over the query's `after`, which a browser repeats."""
    async with httpx.AsyncClient() as client:
        async with client.stream("GET", server.url + STREAM) as answer:
            await bus.publish(step(1))
            identity = (await anext(sse_of(answer)))["id"]
        await clients_there(feed, 0)
        await bus.publish(step(2))
        headers = {"Last-Event-ID": identity}
        async with client.stream("GET", f"{server.url}{STREAM}?after=old", headers=headers) as answer:
            message = await anext(sse_of(answer))
    assert [event["payload"]["n"] for event in orjson.loads(message["data"])["events"]] == [2]


@pytest.mark.parametrize("query", ["correlation_id=nope", "tenant=x"])
async def test_bad_filters_are_refused_on_both(server: Server, query: str) -> None:
    """400, as an error response, before a stream begins."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{server.url}{STREAM}?{query}")
    assert answer.status_code == 400
    with pytest.raises(InvalidStatus) as refusal:
        await connect(f"{server.url.replace('http', 'ws')}/ws/events?{query}").__aenter__()
    assert refusal.value.response.status_code == 400
    assert orjson.loads(refusal.value.response.body or b"") == answer.json()


async def test_a_client_that_disconnects_is_not_counted(server: Server, feed: LiveFeed) -> None:
    """The end of either kind of connection is noticed."""
    async with (
        httpx.AsyncClient() as client,
        client.stream("GET", server.url + STREAM),
        connect(f"{server.url.replace('http', 'ws')}/ws/events"),
    ):
        await clients_there(feed, 2)
    await clients_there(feed, 0)


async def test_what_a_slow_client_missed_and_what_it_got_add_up(
    server: Server, bus: InProcessBus, feed: LiveFeed
) -> None:
    """A slow client does not delay others; once it reads, its frames have the number of missing events."""
    reader, writer = await slow_client(server)
    async with feed.subscribe(TEXT) as quick:
        await publish_to(quick, bus)
    delivered = skipped = last = 0
    async with asyncio.timeout(30):
        while last < PLENTY:
            frame = await next_frame(reader)
            assert frame["seq_from"] == last + frame["skipped"] + 1
            delivered += len(frame["events"])
            skipped += frame["skipped"]
            last = frame["seq_to"]
    writer.close()
    await writer.wait_closed()
    assert delivered + skipped == PLENTY
    assert skipped == feed.statistics().skipped > 0


async def test_stopping_ends_open_streams_with_a_last_message(server: Server, feed: LiveFeed) -> None:
    """Clients get the reason, and the server stops within three seconds."""
    async with httpx.AsyncClient() as client, client.stream("GET", server.url + STREAM) as answer:
        async with connect(f"{server.url.replace('http', 'ws')}/ws/events") as websocket:
            await clients_there(feed, 2)
            async with asyncio.timeout(3):
                await server.stop()
            reason = {"reason": "the server is shutting down"}
            assert orjson.loads(await websocket.recv()) == {"end": reason}
            with pytest.raises(ConnectionClosed) as closed:
                await websocket.recv()
        messages = [message async for message in sse_of(answer)]
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert [(message["event"], orjson.loads(message["data"])) for message in messages] == [("end", reason)]


async def test_stopping_does_not_wait_for_a_client_that_does_not_read(
    server: Server, bus: InProcessBus, feed: LiveFeed
) -> None:
    """Its connection is closed."""
    reader, writer = await slow_client(server)
    async with feed.subscribe(TEXT) as quick:
        await publish_to(quick, bus)
    async with asyncio.timeout(3):
        await server.stop()
    assert server.connections == 0
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await read_for_ever(reader)
    writer.close()


async def publish_to(subscriber: Subscriber[str], bus: InProcessBus) -> None:
    """Publish more than the socket buffers hold, each event once the subscriber has got the one before."""
    for number in range(PLENTY):
        await bus.publish(step(number, filler="x" * 50_000))
        assert orjson.loads(await anext(subscriber))["skipped"] == 0


async def slow_client(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client with small buffers that has read only the head of the response."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (server.host, server.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=200_000)
    writer.write(b"GET /api/event-bus/stream HTTP/1.1\r\nHost: test\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def read_for_ever(reader: asyncio.StreamReader) -> None:
    while True:
        await reader.readuntil(b"\n\n")


async def next_frame(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next message of a chunked event stream."""
    while True:
        size = int(await reader.readline(), 16)
        chunk = await reader.readexactly(size + 2)
        if b"event: events" in chunk:
            frame: dict[str, Any] = orjson.loads(chunk.split(b"data: ")[1])
            return frame
