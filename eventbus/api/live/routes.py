"""Live events over HTTP: Server-Sent Events for browsers, a WebSocket for whoever prefers one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Annotated, Any

from fastapi import Header, Query, WebSocket
from starlette.responses import StreamingResponse
from starlette.types import Send
from starlette.websockets import WebSocketDisconnect

from eventbus.api.live.feed import LiveFeed, Viewer
from eventbus.api.live.frames import SSE, TEXT, Filter
from eventbus.api.parameters import StreamQuery

GOING_AWAY = 1001
"""WebSocket close code of a server that ends (RFC 6455 §7.4.1)."""


class EventStream(StreamingResponse):
    """An answer that lasts as long as its viewer."""

    media_type = "text/event-stream"

    def __init__(self, viewer: Viewer[bytes]) -> None:
        super().__init__(viewer, headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        self._viewer = viewer

    async def stream_response(self, send: Send) -> None:
        async with self._viewer:
            await super().stream_response(send)


class Streams:
    """The two live routes."""

    def __init__(self, feed: LiveFeed) -> None:
        self._feed = feed

    async def sse(
        self,
        query: Annotated[StreamQuery, Query()],
        last_event_id: Annotated[str | None, Header(max_length=64)] = None,
    ) -> EventStream:
        """Live events as Server-Sent Events.

        `events` carries a frame, `{"seq_from", "seq_to", "skipped", "events": […]}`: `skipped` counts the events that
        this client was too slow for since its last frame. A client that comes back with Last-Event-ID goes on from
        there; `gap` tells what is gone, `end` why the stream ends. Lines with `: heartbeat` fill silences.
        """
        # A browser that reconnects keeps the URL and sends the header: the header is the later word.
        after = query.after if last_event_id is None else last_event_id
        return EventStream(self._feed.viewer(SSE, _filter(query), after=after))

    async def websocket(self, websocket: WebSocket, query: Annotated[StreamQuery, Query()]) -> None:
        """The same frames as JSON texts."""
        async with self._feed.viewer(TEXT, _filter(query), after=query.after) as viewer:
            await websocket.accept()
            with suppress(WebSocketDisconnect):
                await _first_of(_send_all(websocket, viewer), _until_gone(websocket))


def _filter(query: StreamQuery) -> Filter:
    return Filter(query.event_type, query.tenant_id, query.correlation_id)


async def _send_all(websocket: WebSocket, viewer: Viewer[str]) -> None:
    async for message in viewer:
        await websocket.send_text(message)
    await websocket.close(GOING_AWAY)


async def _until_gone(websocket: WebSocket) -> None:
    """What a client says is not listened to, but that it leaves is."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _first_of(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run until one of them ends, end the others, raise what that one raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()
