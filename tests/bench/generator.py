"""The generator's rates, each beside `orjson.dumps` of ready dicts equal to its events, measured in turns with it."""

from __future__ import annotations

import asyncio
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from eventbus import InProcessBus
from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.chains.output import EventWriter, file_format
from tests.bench.fakers import with_faker, with_mimesis
from tests.bench.table import Row, best_rate

CHAINS = 200_000
ROUNDS = 3
DICTS = "orjson.dumps of ready dicts"

ALONE = f"""
import time
from eventbus.chains import ChainGenerator
begin = time.perf_counter()
events = sum(map(len, ChainGenerator(seed=7, rate=1000).blocks(chains={3 * CHAINS})))
print(events / (time.perf_counter() - begin))
"""
FIRST_CHAIN = """
import time
from eventbus import chains
begin = time.perf_counter()
chains.ChainGenerator(seed=7).chain()
print(time.perf_counter() - begin)
"""


def rows() -> Iterator[Row]:
    """Throughput in every form, then starting, one chain, and memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        works: dict[tuple[str, str], Callable[[], int]] = {
            ("blocks of bytes, null sink", "≥ 0.85"): blocks,
            ("lists of bytes", ""): lines,
            ("JSONL file with its SHA-256", "≥ 0.65"): lambda: file(path),
            ("eventbus generate --out FILE, the whole process", "≥ 0.55"): lambda: whole_process(path),
            ("Kafka records (topic, key, value, time)", "≥ 0.45"): records,
            ("records into the in-process bus", "≥ 0.40"): lambda: asyncio.run(into_the_bus()),
            ("Event objects", "≥ 0.22"): events,
        }
        rates, baseline = in_turns(list(works.values()), dumps(sample()))
    for (name, target), rate in zip(works, rates, strict=True):
        yield Row(name, rate, baseline, DICTS, target=target)
    for name, fake in (("Faker, a value at a time", with_faker), ("Mimesis, the same", with_mimesis)):
        yield Row("blocks of bytes, null sink", rates[0], best_rate(fake(2000), repeat=3), name)
    one, two, limit = in_turns_of_processes()
    bar = "≥ 1.4" if limit / one >= 1.6 else ""
    yield Row("two worker processes, null sink", two, one, "one process", target=bar)
    yield Row("two independent processes: the machine's limit", limit, one, "one process")
    yield Row("first chain after the import", first_chain_ms(), unit="ms", target="< 60")
    yield Row("one chain, median", one_chain_ms(), unit="ms", target="< 1")
    early, late = resident_mb_after(1_000_000, 5_000_000)
    yield Row("resident memory after 5 M events", late, early, "after 1 M", unit="MB", target="≤ 1.05")


def in_turns(works: list[Callable[[], int]], baseline: Callable[[], int]) -> tuple[list[float], float]:
    """The best rate of each work and of the baseline, all measured in every round."""
    found = [[best_rate(work, repeat=1) for work in (baseline, *works)] for _ in range(ROUNDS)]
    best, *others = map(max, zip(*found, strict=True))
    return others, best


def in_turns_of_processes() -> tuple[float, float, float]:
    """The best rate of one process, of two workers, and of two processes that know nothing of each other.

    The runs are long enough to forget that processes have to start.
    """

    def work(workers: int) -> int:
        return sum(map(len, ChainGenerator(seed=7, rate=1000).blocks(chains=6 * CHAINS, workers=workers)))

    found = [
        (best_rate(partial(work, 1), repeat=1), best_rate(partial(work, 2), repeat=1), independent_rate())
        for _ in range(ROUNDS)
    ]
    one, two, limit = map(max, zip(*found, strict=True))
    return one, two, limit


def independent_rate() -> float:
    """Events per second of two processes together."""
    command = [sys.executable, "-c", ALONE]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    return sum(float(process.communicate()[0]) for process in processes)


def generator() -> ChainGenerator:
    return ChainGenerator(seed=7)


def sample() -> list[dict[str, Any]]:
    return [orjson.loads(line) for some in generator().lines(chains=CHAINS // 50) for line in some]


def dumps(ready: list[dict[str, Any]]) -> Callable[[], int]:
    def work() -> int:
        for one in ready:
            orjson.dumps(one)
        return len(ready)

    return work


def blocks() -> int:
    return sum(map(len, generator().blocks(chains=CHAINS)))


def lines() -> int:
    return sum(map(len, generator().lines(chains=CHAINS)))


def records() -> int:
    return sum(map(len, generator().records(chains=CHAINS)))


def events() -> int:
    return sum(1 for _ in generator().events(chains=CHAINS // 4))


def file(path: Path) -> int:
    writer = EventWriter(file_format("json", Catalog.default()))
    with path.open("wb") as out:
        writer.write(generator().blocks(chains=CHAINS), out)
    return writer.events


def whole_process(path: Path) -> int:
    command = ["-m", "eventbus", "generate", "--seed", "7", "--chains", str(5 * CHAINS), "--out", str(path)]
    result = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True)
    return int(result.stderr.split()[0].replace(",", ""))


async def into_the_bus() -> int:
    """A paced run without pauses; the log is soon full, and drops the oldest records."""
    async with InProcessBus(retention_bytes=4 << 20) as bus:
        run = generator()
        statistics = await run.run(
            bus, rate=10, duration=CHAINS // 20, initial_chains=0, speed=math.inf, start=run.start
        )
    return statistics.emitted


def first_chain_ms() -> float:
    """Best of five fresh interpreters."""
    command = [sys.executable, "-c", FIRST_CHAIN]
    return min(float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(5)) * 1000


def one_chain_ms() -> float:
    one, taken = generator(), []
    for _ in range(500):
        begin = time.perf_counter()
        one.chain("agent-execution", outcome="failed")
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) * 1000


def resident_mb_after(first: int, last: int) -> tuple[float, float]:
    """Resident memory after each of two numbers of events (Linux only; elsewhere 0)."""
    stream, made, resident = generator().blocks(), 0, []
    for count in (first, last):
        while made < count:
            made += len(next(stream))
        resident.append(resident_mb())
    return resident[0], resident[1]


def resident_mb() -> float:
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096 / 1e6 if status.exists() else 0.0
