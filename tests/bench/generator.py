"""The generator's rates, each beside `orjson.dumps` of ready dicts equal to its events, measured in turns with it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from eventbus.chains import ChainGenerator
from tests.bench.fakers import with_faker, with_mimesis
from tests.bench.table import Row, best_rate

CHAINS = 200_000
ROUNDS = 3
DICTS = "orjson.dumps of ready dicts"

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
        works: dict[tuple[str, str], Callable[[], int]] = {
            ("blocks of bytes, null sink", "≥ 0.25, ≥ 1,200,000"): blocks,
            ("lists of bytes", ""): lines,
            ("Kafka records (topic, key, value, time)", ""): records,
            ("Event objects", ""): events,
            ("JSONL file", ""): lambda: file(Path(folder) / "events.jsonl"),
        }
        rates, baseline = in_turns(list(works.values()), dumps(sample()))
    for (name, target), rate in zip(works, rates, strict=True):
        yield Row(name, rate, baseline, DICTS, target=target)
    for name, fake in (("Faker, a value at a time", with_faker), ("Mimesis, the same", with_mimesis)):
        yield Row("blocks of bytes, null sink", rates[0], best_rate(fake(2000), repeat=3), name)
    one, two = in_turns_of_workers()
    yield Row("two worker processes, null sink", two, one, "one process", target="≥ 1.4")
    yield Row("first chain after the import", first_chain_ms(), unit="ms", target="< 150")
    yield Row("one chain, median", one_chain_ms(), unit="ms", target="< 1")
    yield Row("memory grown over 1 M further events", grown_mb(), unit="MB", target="flat")


def in_turns(works: list[Callable[[], int]], baseline: Callable[[], int]) -> tuple[list[float], float]:
    """The best rate of each work and of the baseline, all measured in every round."""
    found = [[best_rate(work, repeat=1) for work in (baseline, *works)] for _ in range(ROUNDS)]
    best, *others = map(max, zip(*found, strict=True))
    return others, best


def in_turns_of_workers() -> tuple[float, float]:
    """The best rate of one process and of two, over a run long enough to forget that two have to start."""

    def work(workers: int) -> int:
        return sum(map(len, ChainGenerator(seed=7, rate=1000).blocks(chains=6 * CHAINS, workers=workers)))

    rates = [[best_rate(partial(work, workers), repeat=1) for workers in (1, 2)] for _ in range(ROUNDS)]
    one, two = map(max, zip(*rates, strict=True))
    return one, two


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
    return sum(1 for _ in generator().events(chains=CHAINS // 16))


def file(path: Path) -> int:
    count = 0
    with path.open("wb", buffering=0) as out:
        for block in generator().blocks(chains=CHAINS):
            out.write(block.buffer)
            count += len(block)
    return count


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


def grown_mb() -> float:
    """Resident memory at the end, beyond that after the first 200,000 events (Linux only; elsewhere 0)."""
    stream = generator().blocks(chains=500_000)
    sum(map(len, islice(stream, 40)))
    resident = resident_mb()
    sum(map(len, stream))
    return resident_mb() - resident


def resident_mb() -> float:
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096 / 1e6 if status.exists() else 0.0
