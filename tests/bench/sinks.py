"""What sinks take, each beside the plainest thing that does the same."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import aiohttp

from eventbus.chains import ChainGenerator
from eventbus.chains.sinks import HttpSink, JsonDialect, JsonlSink, Sink
from eventbus.record import ProducerRecord
from tests.bench.table import Row

CHAINS = 20_000
BATCH = 5000
EVENTS_A_REQUEST = 500

SERVER = """
from aiohttp import web

async def take(request):
    await request.read()
    return web.Response()

async def main():
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

import asyncio
asyncio.run(main())
"""


def rows() -> Iterator[Row]:
    """HTTP against a server in a process of its own, and files."""
    records = list(chain.from_iterable(ChainGenerator(seed=7).records(chains=CHAINS)))
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/"
        bare = best(lambda: posted(url, records))
        batched = best(lambda: written(HttpSink(url, JsonDialect(batch=EVENTS_A_REQUEST)), records))
        yield Row(
            f"HTTP sink, {EVENTS_A_REQUEST} events a request",
            batched,
            bare,
            "aiohttp posts ready bodies",
            target="≥ 20,000",
        )
        few = records[:4000]
        yield Row("HTTP sink, one event a request", best(lambda: written(HttpSink(url, JsonDialect()), few)))
    finally:
        server.kill()
        server.communicate()
    with tempfile.TemporaryDirectory() as folder:
        for ending in ("jsonl", "jsonl.gz", "jsonl.zst"):
            yield Row(f"JSONL sink, .{ending}", best(partial(to_file, Path(folder) / f"events.{ending}", records)))


def best(work: Callable[[], Coroutine[None, None, float]]) -> float:
    """Events per second of the best of three runs."""
    return max(asyncio.run(work()) for _ in range(3))


async def to_file(path: Path, records: list[ProducerRecord]) -> float:
    return await written(JsonlSink(path), records)


async def written(sink: Sink, records: list[ProducerRecord]) -> float:
    await sink.open()
    begin = time.perf_counter()
    for first in range(0, len(records), BATCH):
        await sink.write(records[first : first + BATCH])
    await sink.flush()
    taken = time.perf_counter() - begin
    await sink.close()
    assert sink.statistics().written == len(records), sink.statistics()
    return len(records) / taken


async def posted(url: str, records: list[ProducerRecord]) -> float:
    parts = [records[first : first + EVENTS_A_REQUEST] for first in range(0, len(records), EVENTS_A_REQUEST)]
    bodies = [b"[" + b",".join(record.value or b"" for record in part) + b"]" for part in parts]
    async with aiohttp.ClientSession() as session:
        begin = time.perf_counter()
        for body in bodies:
            async with session.post(url, data=body) as answer:
                await answer.read()
        return len(records) / (time.perf_counter() - begin)
