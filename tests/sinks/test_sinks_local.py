"""Files, standard output and buses as sinks: what was written is there, what was not is counted."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import cramjam
import pytest

from eventbus import InProcessBus
from eventbus.bus import EventBus
from eventbus.chains.errors import SinkUnusable
from eventbus.chains.sinks import BusSink, JsonlSink, Sink, SinkStatistics, StdoutSink
from eventbus.errors import BrokerUnreachable, DeliveryFailed, EventBusError
from eventbus.event import Event
from eventbus.record import ProducerRecord
from tests.sinks.conftest import records

FULL = Path("/dev/full")
BASH = shutil.which("bash")


async def write(sink: Sink, sent: list[ProducerRecord], batch: int = 50) -> SinkStatistics:
    await sink.open()
    for first in range(0, len(sent), batch):
        await sink.write(sent[first : first + batch])
    await sink.flush()
    await sink.close()
    return sink.statistics()


def listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def lines(of: list[ProducerRecord]) -> bytes:
    return b"".join((record.value or b"null") + b"\n" for record in of)


def unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    return bytes(cramjam.zstd.decompress(data)) if path.suffix == ".zst" else data


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst"])
async def test_a_file_has_the_lines(tmp_path: Path, ending: str) -> None:
    """The file holds every record's value as a line, in order; a second stream is appended."""
    path, sent = tmp_path / f"events.{ending}", records(100)
    statistics = await write(JsonlSink(path), sent)
    assert statistics == SinkStatistics(accepted=len(sent), written=len(sent))
    assert unpacked(path) == lines(sent)
    await write(JsonlSink(path), sent)
    assert unpacked(path) == lines(sent) * 2


@pytest.mark.parametrize("ending", ["jsonl.gz", "jsonl.zst"])
async def test_compression_does_not_depend_on_how_events_come(tmp_path: Path, ending: str) -> None:
    """Events that come one by one, as in a slow stream, are compressed as well as those that come together."""
    one_by_one, together, sent = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}", records(100)
    await write(JsonlSink(one_by_one), sent, batch=1)
    await write(JsonlSink(together), sent, batch=len(sent))
    assert one_by_one.read_bytes() == together.read_bytes()


async def test_parts_follow_each_other(tmp_path: Path) -> None:
    """A part that has reached its size is followed by the next; together they hold everything, once."""
    sent = records(200)
    await write(JsonlSink(tmp_path / "events.jsonl", rotate_bytes=20_000), sent, batch=20)
    found = listed(tmp_path)
    assert [path.name for path in found[:2]] == ["events.0001.jsonl", "events.0002.jsonl"]
    assert b"".join(path.read_bytes() for path in found) == lines(sent)
    longest = 20 * max(len(record.value or b"") + 1 for record in sent)
    assert all(20_000 <= path.stat().st_size < 20_000 + longest for path in found[:-1])


async def test_parts_of_another_stream_are_left_alone(tmp_path: Path) -> None:
    """The next stream continues the numbers."""
    sent = records(5)
    for _ in range(2):
        await write(JsonlSink(tmp_path / "events.jsonl.gz", rotate_bytes=1), sent, batch=len(sent))
    assert [path.name for path in listed(tmp_path)] == ["events.0001.jsonl.gz", "events.0002.jsonl.gz"]
    assert unpacked(tmp_path / "events.0001.jsonl.gz") == lines(sent)


async def test_a_tombstone_is_a_line(tmp_path: Path) -> None:
    """A record without a value is `null`, so that lines and records stay as many."""
    sent = [records(1)[0]._replace(value=None)]
    await write(JsonlSink(tmp_path / "events.jsonl"), sent)
    assert (tmp_path / "events.jsonl").read_bytes() == b"null\n"


async def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A folder that does not exist is an error before the stream begins."""
    with pytest.raises(SinkUnusable, match="No such file"):
        await JsonlSink(tmp_path / "nowhere" / "events.jsonl").open()


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")
async def test_a_full_disk_is_counted() -> None:
    """What did not fit has failed, and the account says so."""
    sent = records(3)
    statistics = await write(JsonlSink(FULL), sent)
    assert (statistics.written, statistics.failed, statistics.pending) == (0, len(sent), 0)
    assert statistics.reasons == {"No space left on device": len(sent)}


async def test_a_line_is_never_torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full halfway through, the file ends with the last whole line."""
    sent = records(3)
    sink = JsonlSink(tmp_path / "events.jsonl")
    await sink.open()
    await sink.write(sent)
    file = sink._open_file

    class Filling:
        """Takes ten bytes, then no more."""

        def __init__(self) -> None:
            self.taken = False

        def write(self, data: memoryview) -> int:
            if self.taken:
                raise OSError(28, "No space left on device")
            self.taken = True
            return file.write(data[:10])

        def __getattr__(self, name: str) -> object:
            return getattr(file, name)

    monkeypatch.setattr(sink, "_file", Filling())
    await sink.write(sent)
    await sink.close()
    assert (tmp_path / "events.jsonl").read_bytes() == lines(sent)
    assert (sink.statistics().written, sink.statistics().failed) == (len(sent), len(sent))


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst"])
async def test_a_named_pipe_has_the_lines(tmp_path: Path, ending: str) -> None:
    """What cannot be rewound is written all the same, once somebody reads, and however slowly."""
    path, sent = tmp_path / f"pipe.{ending}", records(300)  # more than a pipe holds
    os.mkfifo(path)
    writing = asyncio.ensure_future(write(JsonlSink(path), sent))
    await asyncio.sleep(0)
    assert not writing.done()
    received = tmp_path / f"received.{ending}"
    received.write_bytes(await asyncio.to_thread(path.read_bytes))
    assert await writing == SinkStatistics(accepted=len(sent), written=len(sent))
    assert unpacked(received) == lines(sent)


async def test_a_named_pipe_whose_reader_goes_is_counted(tmp_path: Path) -> None:
    """What the reader did not take has failed; nothing hangs."""
    path, sent = tmp_path / "pipe", records(300)
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = JsonlSink(path)
    await sink.open()
    os.close(reading)
    await sink.write(sent)
    await sink.close()
    statistics = sink.statistics()
    assert (statistics.written, statistics.failed, statistics.pending) == (0, len(sent), 0)
    assert statistics.reasons == {"Broken pipe": len(sent)}


@pytest.mark.skipif(not BASH, reason="no bash")
async def test_process_substitution_has_the_lines(tmp_path: Path) -> None:
    """`--to jsonl:>(…)`, as a shell gives it."""
    command = f"{sys.executable} -m eventbus stream --seed 3 --speed max --duration 5s --json --to jsonl:>(cat > out)"
    done = await asyncio.create_subprocess_exec(
        BASH or "", "-c", f"{command}; wait $!", cwd=tmp_path, stdout=PIPE, stderr=PIPE
    )
    out, err = await done.communicate()
    assert done.returncode == 0, err
    [sink] = json.loads(out)["sinks"].values()
    received = await asyncio.to_thread((tmp_path / "out").read_bytes)
    assert sink["accepted"] == sink["written"] == len(received.splitlines()) > 100


async def test_a_line_that_a_crash_cut_off_is_left_alone(tmp_path: Path) -> None:
    """What is appended begins a line of its own: every line of this stream can be read."""
    path, sent = tmp_path / "events.jsonl", records(3)
    path.write_bytes(b'{"n":1}\n{"n":2,"half')
    await write(JsonlSink(path), sent)
    await write(JsonlSink(path), sent)
    assert path.read_bytes() == b'{"n":1}\n{"n":2,"half\n' + lines(sent) * 2


@pytest.mark.parametrize("cancellations", [1, 2, 3])
async def test_a_write_may_be_cancelled_again_and_again(tmp_path: Path, cancellations: int) -> None:
    """A thread in the middle of a file is waited for, and what it wrote is counted: nothing is pending at the end."""
    busy, go_on = threading.Event(), threading.Event()
    sent = records(3)

    class SlowSink(JsonlSink):
        def _append(self, text: bytes) -> None:
            busy.set()
            go_on.wait()
            super()._append(text)

    sink = SlowSink(tmp_path / "events.jsonl")
    await sink.open()
    writing = asyncio.ensure_future(sink.write(sent))
    await asyncio.to_thread(busy.wait)
    for _ in range(cancellations):
        writing.cancel()
        await asyncio.sleep(0)
    assert not writing.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await sink.close()
    assert sink.statistics() == SinkStatistics(accepted=len(sent), written=len(sent))
    assert (tmp_path / "events.jsonl").read_bytes() == lines(sent)


async def test_standard_output_has_the_lines() -> None:
    """Lines go to the descriptor, however slowly they are read."""
    reading, writing = os.pipe()
    sent = records(300)  # more than a pipe holds
    collected = asyncio.get_running_loop().run_in_executor(None, read_all, reading)
    statistics = await write(StdoutSink(writing), sent)
    os.close(writing)
    assert statistics == SinkStatistics(accepted=len(sent), written=len(sent))
    assert await collected == lines(sent)


async def test_a_reader_that_goes_is_noticed() -> None:
    """When nobody reads any more the owner is told, and the rest has failed."""
    reading, writing = os.pipe()
    os.close(reading)
    gone: list[bool] = []
    statistics = await write(StdoutSink(writing, on_gone=lambda: gone.append(True)), records(3))
    os.close(writing)
    assert gone
    assert (statistics.written, statistics.pending) == (0, 0)


async def test_a_reader_that_pauses_does_not_hold_up_the_end() -> None:
    """A pipe that is full and not read cannot keep the sink from closing."""
    reading, writing = os.pipe()
    sink, sent = StdoutSink(writing), records(1000)
    await sink.open()
    pending = asyncio.ensure_future(sink.write(sent))
    await asyncio.sleep(0)
    pending.cancel()
    await asyncio.wait([pending])
    await sink.close()
    statistics = sink.statistics()
    assert (statistics.failed, statistics.pending) == (len(sent), 0)
    os.close(reading)
    os.close(writing)


async def test_a_bus_has_the_records() -> None:
    """A bus is a sink like any other, and is closed with it."""
    bus, sent = InProcessBus(), records(20)
    sink = BusSink(bus)
    await sink.open()
    await sink.write(sent)
    async with bus.subscribe({record.topic for record in sent}) as arrived:
        values = {(await anext(arrived)).value for _ in sent}
    await sink.close()
    assert values == {record.value for record in sent}
    assert sink.statistics() == SinkStatistics(accepted=len(sent), written=len(sent))


class Failing:
    """A bus that raises."""

    def __init__(self, error: EventBusError) -> None:
        self.error = error

    async def __aenter__(self) -> Failing:
        return self

    async def publish_many(self, events: Iterable[Event | ProducerRecord]) -> int:
        raise self.error

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("error", "written"),
    [(BrokerUnreachable("gone"), 0), (DeliveryFailed("partly", acknowledged=2, failed=1), 2)],
)
async def test_what_a_bus_did_not_acknowledge_has_failed(error: EventBusError, written: int) -> None:
    """The errors of a bus become figures, exactly."""
    sent = records(5)[:3]
    statistics = await write(BusSink(cast(EventBus, Failing(error))), sent)
    assert (statistics.written, statistics.failed) == (written, 3 - written)
    assert statistics.last_error == str(error)


def read_all(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return file.read()
