"""Several processes, one stream: the same bytes, an error rather than a gap, and nobody left behind."""

from __future__ import annotations  # noqa: I001

import hashlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog
from eventbus.chains import Block, ChainGenerator, InvalidSetting, WorkerDied
from eventbus.chains import workers
from eventbus.chains.stream import Extent
from eventbus.chains.workers import COUNT_BYTES, SLOTS, WorkerShare, in_parallel
from tests.unit.chains.catalogs import catalogs, field, two_steps

LOOPING = Catalog.default().with_weights({"pattern-discovery": 15, "compliance-validation": 15})
needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds children in /proc")


def digest(blocks: Iterator[Block]) -> str:
    found = hashlib.sha256()
    for block in blocks:
        found.update(block.buffer)
    return found.hexdigest()


def in_portions(generator: ChainGenerator, extent: Extent, crew: int, together: int = 7) -> Iterator[Block]:
    """A run in portions so small that every worker has many."""
    stream = generator._stream(generator._plan)
    stream.max_rows = together
    return in_parallel(stream, extent, crew)


@pytest.mark.parametrize(
    ("crew", "block", "rate"), [(2, 1, 0.2), (2, None, 500_000.0), (4, None, 10.0), (8, 13, 500_000.0)]
)
def test_hash_matrix(crew: int, block: int | None, rate: float) -> None:
    """The SHA-256 is that of one process, whatever the number of workers, the blocks, the rate and the loops."""
    one = ChainGenerator(LOOPING, seed=7, rate=rate)
    other = ChainGenerator(LOOPING, seed=7, rate=rate, block=block)
    assert digest(in_portions(other, Extent(300), crew)) == digest(one.blocks(chains=300))


@given(catalog=catalogs(), seed=st.integers(), rate=st.sampled_from([0.5, 20.0, 1e6]), together=st.integers(1, 9))
@settings(max_examples=6, deadline=None)
def test_any_catalog_gives_the_same_bytes(catalog: Catalog, seed: int, rate: float, together: int) -> None:
    """Every payload source, delay, loop and step limit arrives in the workers."""
    generator = ChainGenerator(catalog, seed=seed, rate=rate)
    assert digest(in_portions(generator, Extent(30), 2, together)) == digest(generator.blocks(chains=30))


@pytest.mark.parametrize("crew", [1, 2])
def test_a_kept_block_is_valid_while_the_next_one_is_made(crew: int) -> None:
    """A file can be written from a block's memory in the background: only the block after the next one reuses it."""
    generator, count = ChainGenerator(seed=3), 0
    expected = [bytes(block.buffer) for block in in_portions(generator, Extent(40), crew)]
    blocks = in_portions(generator, Extent(40), crew)
    previous = next(blocks).keep()
    for count, block in enumerate(blocks):
        assert bytes(previous) == expected[count]
        previous = block.keep()
    assert count > 2 * SLOTS


def test_every_form_of_a_block_has_come_over() -> None:
    """Lines, records, counts and times are those of one process, with large blocks too."""
    generator = ChainGenerator(seed=3)
    topics = generator._plan.topics("domain")

    def forms(crew: int) -> list[object]:
        blocks = generator.blocks(chains=9000, workers=crew)
        return [(len(b), b.chains, b.last, list(b.lines()), list(b.records(topics))) for b in blocks]

    assert forms(2) == forms(1)


def test_a_window_with_workers() -> None:
    """Workers and random access go together."""
    generator = ChainGenerator(LOOPING, seed=3, rate=100)
    extent = Extent(duration=20, since=1767225605_000_000, until=1767225612_000_000)
    expected = digest(generator._stream(generator._plan).blocks(extent))
    assert digest(in_portions(generator, extent, 3)) == expected != digest(generator.blocks(duration=20))


def test_long_texts_fit_the_shared_memory() -> None:
    """Texts of 50 kB come over whole."""
    texts = tuple(letter * 50_000 for letter in "abcdefgh")
    generator = ChainGenerator(two_steps(field("one", choices=texts), field("other", choices=texts)), rate=1000)
    assert digest(generator.blocks(chains=300, workers=2)) == digest(generator.blocks(chains=300))


@pytest.mark.parametrize("largest", [9, 2_000_000])
def test_filled_texts_with_workers(largest: int) -> None:
    """Texts with numbers in them, few or very many, go to the workers as everything else does."""
    number = field("n", type="integer", minimum=1, maximum=largest)
    catalog = two_steps(number, field("text", choices=("about {n}", 'of "{n}" ä'), fill=True))
    one, two = (digest(ChainGenerator(catalog, seed=7).blocks(2000, workers=crew)) for crew in (1, 2))
    assert one == two


@pytest.mark.parametrize("chains", [0, 1])
def test_more_workers_than_work(chains: int) -> None:
    """Workers without a portion are none the worse."""
    generator = ChainGenerator(seed=1)
    assert digest(generator.blocks(chains=chains, workers=2)) == digest(generator.blocks(chains=chains))


@pytest.mark.parametrize("number", [0, -1, 65])
def test_a_number_of_workers_out_of_range(number: int) -> None:
    """It is refused at once, and so are wrong bounds."""
    with pytest.raises(InvalidSetting, match=f"expected 1 to 64 workers, got {number}"):
        ChainGenerator().blocks(workers=number)
    with pytest.raises(InvalidSetting, match="at least 0 chains"):
        ChainGenerator().blocks(chains=-1, workers=2)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class TestPool:
    """The worker processes."""

    @needs_proc
    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
    @pytest.mark.parametrize("number", [1, 2])
    def test_a_dead_worker_is_an_error(self, how: signal.Signals, number: int) -> None:
        """A worker that is killed ends the stream with an error, never early, and takes the others along."""
        before = children(os.getpid())
        blocks = ChainGenerator(seed=1).blocks(workers=2)
        next(blocks)
        pool = [pid for pid in children(os.getpid()) if pid not in before]
        assert len(pool) == 2
        os.kill(pool[number - 1], how)
        with pytest.raises(WorkerDied, match=f"worker {number} of 2 ended with -{how.value} before its work did"):
            for _ in blocks:
                pass
        assert children(os.getpid()) == before

    def test_a_worker_that_fails_is_an_error(self, capfd: pytest.CaptureFixture[str]) -> None:
        """An exception in a worker ends the stream with an error, and its stack is on stderr."""
        generator = ChainGenerator(seed=1)
        stream = generator._stream(generator._plan)
        stream.plan.emitters.clear()
        with pytest.raises(WorkerDied, match="worker 1 of 2 ended with 1"):
            list(in_parallel(stream, Extent(10), 2))
        assert "Traceback" in capfd.readouterr().err

    @needs_proc
    def test_workers_end_with_the_iterator(self) -> None:
        """They start with the first block, and a reader that has seen enough leaves no process behind."""
        before = children(os.getpid())
        blocks = ChainGenerator(seed=1).blocks(workers=2)
        assert children(os.getpid()) == before
        list(islice(blocks, 3))
        assert len(children(os.getpid())) == len(before) + 2
        blocks.close()  # type: ignore[attr-defined]
        assert children(os.getpid()) == before

    def test_a_worker_waits_for_a_slow_reader(self) -> None:
        """It is ahead by its slots and no more, so what the reader still looks at stays as it is."""
        generator = ChainGenerator(seed=1)
        stream = generator._stream(generator._plan)
        stream.max_rows = 7
        expected = [bytes(block.buffer) for block in islice(stream.blocks(Extent()), SLOTS + 1)]
        with workers.Worker(WorkerShare(stream, Extent(), 0, 1)) as worker:
            pipe = worker.process.stdout
            assert pipe is not None
            counts = [int.from_bytes(os.read(pipe.fileno(), COUNT_BYTES), "little") for _ in range(SLOTS)]
            assert not select.select([pipe], [], [], 0.2)[0]
            blocks = [slot.get(count) for slot, count in zip(worker._slots, counts, strict=True)]
            assert [bytes(block.buffer) for block in blocks] == expected[:SLOTS]
            worker.free()
            os.read(pipe.fileno(), COUNT_BYTES)
            assert bytes(worker._slots[0].get(counts[0]).buffer)[:99] == expected[SLOTS][:99]


def gone(pid: int) -> bool:
    """Whether a process has ended, be it a zombie of a parent that does not wait."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@needs_proc
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_reader(how: signal.Signals) -> None:
    """However the reading program ends, the workers end too, within 3 seconds."""
    code = "import eventbus\nfor b in eventbus.ChainGenerator().blocks(workers=2): print(len(b), flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(os.environ)
    ) as program:
        assert program.stdout is not None
        program.stdout.readline()
        crew = children(program.pid)
        assert len(crew) == 2
        program.send_signal(how)
        deadline = time.monotonic() + 3
        program.wait(3)
        while not all(map(gone, crew)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
