"""A real HTTP server that answers as it is told, and records to send to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import chain as joined
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from eventbus.chains import ChainGenerator
from eventbus.chains.sinks import DeadLetters
from eventbus.record import ProducerRecord
from tests.unit.chains.clocks import ManualClock

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


def says(status: int = 200, text: str = "", headers: dict[str, str] | None = None) -> Reply:
    """A reply that is the same every time."""

    async def reply(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return reply


def after(turns: int, reply: Reply) -> Reply:
    """A reply that lets other tasks run first."""

    async def late(request: web.Request) -> web.StreamResponse:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await reply(request)

    return late


class Server:
    """Keeps every request, and gives each the next of the planned replies; then 200."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        reply = self.replies.pop(0) if self.replies else says()
        return await reply(request)

    @property
    def items(self) -> list[object]:
        """All that was sent, lists taken apart."""
        sent = [orjson.loads(body) for body in self.bodies]
        return list(joined.from_iterable(one if isinstance(one, list) else [one] for one in sent))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    yield server
    await runner.cleanup()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[DeadLetters]:
    letters = DeadLetters(tmp_path / "dead.jsonl")
    yield letters
    letters.close()


def kept(dead: DeadLetters) -> list[dict[str, Any]]:
    """The letters in the file."""
    return [orjson.loads(line) for line in dead.path.read_bytes().splitlines()] if dead.path.exists() else []


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until the condition holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what changes it is the code under test
            await asyncio.sleep(0.001)


def records(chains: int = 10) -> list[ProducerRecord]:
    return list(joined.from_iterable(ChainGenerator(seed=7).records(chains=chains)))


def events(of: list[ProducerRecord]) -> list[object]:
    return [orjson.loads(record.value or b"") for record in of]
