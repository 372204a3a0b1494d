"""`/api/event-bus/stream` and `/ws/events`: live events as Server-Sent Events and over a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response, WebSocket
from starlette.responses import StreamingResponse
from starlette.types import Send
from starlette.websockets import WebSocketDisconnect

from eventbus.api.live.feed import LiveFeed, Subscriber
from eventbus.api.live.frames import SSE, TEXT, Filter
from eventbus.api.openapi import documented
from eventbus.api.parameters import StreamQuery

GOING_AWAY = 1001
"""WebSocket close code of a server that stops (RFC 6455 §7.4.1)."""


def live_routes(feed: LiveFeed) -> APIRouter:
    """The routes of live events."""
    router = APIRouter(tags=["live"], default_response_class=Response)

    @router.get("/api/event-bus/stream", responses=documented(None, 400, 503))
    async def stream_events(
        query: Annotated[StreamQuery, Query()],
        last_event_id: Annotated[str | None, Header(max_length=64)] = None,
    ) -> Response:
        """Live events as Server-Sent Events.

        An `events` message has a frame, `{"seq_from", "seq_to", "skipped", "events": […]}`, where `skipped` is the
        number of events that this client missed since its last frame. A client that reconnects with Last-Event-ID
        continues there; `gap` has the number of events lost in between, `end` the reason why the stream ends. Lines
        with `: heartbeat` are sent when there are no events.
        """
        # A browser that reconnects repeats the URL and adds the header, so the header takes precedence.
        after = query.after if last_event_id is None else last_event_id
        return EventStream(feed.subscribe(SSE, _filter(query), after=after))

    @router.websocket("/ws/events")
    async def stream_to_websocket(websocket: WebSocket, query: Annotated[StreamQuery, Query()]) -> None:
        """Live events as JSON texts."""
        async with feed.subscribe(TEXT, _filter(query), after=query.after) as subscriber:
            await websocket.accept()
            with suppress(WebSocketDisconnect):
                await _first_of(_send_all(websocket, subscriber), _until_disconnect(websocket))

    return router


class EventStream(StreamingResponse):
    """A response that sends the messages of a subscriber until it ends."""

    media_type = "text/event-stream"

    def __init__(self, subscriber: Subscriber[bytes]) -> None:
        super().__init__(subscriber, headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        self._subscriber = subscriber

    async def stream_response(self, send: Send) -> None:
        async with self._subscriber:
            await super().stream_response(send)


def _filter(query: StreamQuery) -> Filter:
    return Filter(query.event_type, query.tenant_id, query.correlation_id)


async def _send_all(websocket: WebSocket, subscriber: Subscriber[str]) -> None:
    async for message in subscriber:
        await websocket.send_text(message)
    await websocket.close(GOING_AWAY)


async def _until_disconnect(websocket: WebSocket) -> None:
    """Discard what the client sends until it disconnects."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _first_of(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run until the first one ends, cancel the others, and raise its exception if it has one."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()
