"""What the HTTP door costs: a frame for many subscribers, and the answer to one query."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import orjson
from fastapi import FastAPI, Response

from eventbus.api import LiveFeed, Server, create_app
from eventbus.api.live.frames import SSE
from eventbus.catalog import Catalog
from eventbus.event import Event
from eventbus.inprocess import InProcessBus
from eventbus.record import ProducerRecord, record_of
from tests.api.memory_store import MemoryStore
from tests.bench.table import Row

CLIENTS = 100
EVENTS = 20_000
REQUESTS = 500
REPEAT = 3
TOPIC = "omninode.agent"
EVENTS_PATH = "/api/event-bus/events"


def rows() -> Iterator[Row]:
    records = [record_of(event, TOPIC) for event in a_chain(EVENTS)]
    shared = max(asyncio.run(fan_out(watch_feed, records)) for _ in range(REPEAT))
    single = max(asyncio.run(fan_out(watch_queues, records)) for _ in range(REPEAT))
    yield Row(f"live feed to {CLIENTS} clients", shared, single, "a queue and an encoding for each client")
    ours, bare = asyncio.run(query_latencies())
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        yield Row(
            f"GET by correlation_id, store in memory, {name}",
            quantile(ours, share),
            quantile(bare, share),
            "the same bytes from a bare route",
            "ms",
        )


def a_chain(length: int) -> list[Event]:
    events: list[Event] = []
    for number in range(length):
        payload = {"agent": "debug-intelligence", "step": number, "duration_ms": 731, "path": "src/orders/service.py"}
        cause = events[-1] if events else None
        events.append(Event.new("omninode.agent.execution.started.v1", payload, cause=cause))
    return events


async def fan_out(watch: Callable[[InProcessBus], Awaitable[None]], records: list[ProducerRecord]) -> float:
    """Events per second that reach every one of the clients, as bytes ready to send."""
    async with InProcessBus(partitions=1) as bus, asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(_run(watch, bus))
        await asyncio.sleep(0.1)  # all clients are there
        begin = time.perf_counter()
        await bus.publish_many(records)
        await watching
        return len(records) / (time.perf_counter() - begin)


async def _run(watch: Callable[[InProcessBus], Awaitable[None]], bus: InProcessBus) -> None:
    await watch(bus)


async def watch_feed(bus: InProcessBus) -> None:
    """Ours: one ring of frames, each encoded once."""
    feed = LiveFeed(bus, [TOPIC], interval=0.01)

    async def client() -> None:
        async with feed.subscribe(SSE) as subscriber:
            identity = b""
            while not identity.endswith(b"-%d" % EVENTS):
                identity = (await anext(subscriber)).partition(b"\n")[0]

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    await feed.close()


async def watch_queues(bus: InProcessBus) -> None:
    """The usual way: events decoded, put into each client's queue, encoded there, in the same batches."""
    queues: list[asyncio.Queue[list[dict[str, Any]]]] = [asyncio.Queue() for _ in range(CLIENTS)]

    async def client(queue: asyncio.Queue[list[dict[str, Any]]]) -> None:
        count = 0
        while count < EVENTS:
            events = await queue.get()
            _message = b"event: events\ndata: " + orjson.dumps({"events": events}) + b"\n\n"
            count += len(events)

    async def read() -> None:
        count = 0
        async with bus.subscribe(TOPIC, auto_offset_reset="latest") as subscription:
            async for records in subscription.batches(500):
                events = [orjson.loads(record.value or b"") for record in records]
                for queue in queues:
                    queue.put_nowait(events)
                count += len(events)
                if count == EVENTS:
                    return

    await asyncio.gather(read(), *map(client, queues))


async def query_latencies() -> tuple[list[float], list[float]]:
    """Milliseconds of single requests over one kept connection: the real route, and one that has its answer ready."""
    store = MemoryStore()
    chain = a_chain(4)
    store.add(chain)
    async with InProcessBus() as bus:
        app = create_app(store=store, bus=bus, catalog=Catalog.default(), version="1")
        path = f"{EVENTS_PATH}?correlation_id={chain[0].correlation_id}"
        body = orjson.dumps({"events": [event.to_dict() for event in reversed(chain)], "next_cursor": None})
        async with Server(app, port=0) as server, Server(bare_app(body), port=0) as bare:
            return await latencies(server, path), await latencies(bare, path)


def bare_app(body: bytes) -> FastAPI:
    app = FastAPI()
    app.state.live = LiveFeed(InProcessBus(), [])

    @app.get(EVENTS_PATH)
    async def ready() -> Response:
        return Response(body, media_type="application/json")

    return app


async def latencies(server: Server, path: str) -> list[float]:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
    times: list[float] = []
    for _ in range(REQUESTS):
        begin = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        times.append((time.perf_counter() - begin) * 1000)
    writer.close()
    await writer.wait_closed()
    return times


def quantile(times: list[float], share: float) -> float:
    return sorted(times)[int(len(times) * share)]
