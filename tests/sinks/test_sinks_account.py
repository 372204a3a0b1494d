"""What a sink has accepted is written, or a dead letter, or counted as failed, however odd the circumstances."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from eventbus.chains.errors import SinkUnusable
from eventbus.chains.sinks import (
    DeadLetters,
    FanOut,
    HttpSink,
    JsonDialect,
    JsonlSink,
    read_letter,
)
from eventbus.chains.sinks.bodies import HttpRequest
from eventbus.cli import cli
from eventbus.cli.running import run_abandoning_lookups
from eventbus.record import ProducerRecord
from tests.sinks.conftest import Server, kept, says, until
from tests.unit.chains.clocks import ManualClock

STREAM = ("stream", "--rate", "200", "--duration", "200ms", "--seed", "3", "--json")


def numbered(count: int) -> list[ProducerRecord]:
    return [ProducerRecord("t", b"%d" % number, b'{"n":%d}' % number, 0) for number in range(count)]


def run(*arguments: str) -> tuple[int, str, str]:
    outcome = CliRunner().invoke(cli, arguments)
    return outcome.exit_code, outcome.stdout, outcome.stderr


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_a_write_that_is_cancelled_keeps_its_records(unused_tcp_port: int, dead: DeadLetters, turns: int) -> None:
    """Also if it is cancelled before the tasks that wait for room have begun."""
    sink = HttpSink(f"http://127.0.0.1:{unused_tcp_port}/", JsonDialect(), dead_letters=dead)
    await sink.open()
    write = asyncio.create_task(sink.write(numbered(500)))
    for _ in range(turns + 1):
        await asyncio.sleep(0)
    write.cancel()
    await asyncio.wait([write])
    await sink.close()
    statistics = sink.statistics()
    assert (statistics.accepted, statistics.dead, statistics.pending) == (500, 500, 0)
    assert sorted(letter["event"]["n"] for letter in kept(dead)) == list(range(500))


async def test_an_error_of_a_dialect_loses_no_record(server: Server, dead: DeadLetters) -> None:
    """The error ends the stream, as a bug does; what was to be sent is kept first."""

    class Broken(JsonDialect):
        def request(self, records: Sequence[ProducerRecord]) -> HttpRequest:
            raise RuntimeError("broken")

    sink = HttpSink(server.url, Broken(batch=10), connections=1, dead_letters=dead)
    await sink.open()
    await sink.write(numbered(30))
    with pytest.raises(RuntimeError, match="broken"):
        await sink.flush()
    await sink.close()
    statistics = sink.statistics()
    assert (statistics.accepted, statistics.dead, statistics.pending) == (30, 30, 0)
    assert len(kept(dead)) == 30


@pytest.mark.parametrize(
    "url",
    [
        "http://", "http:///path", "http://:80/", "http://host:port/", "http://host:99999/", "http://[::1",
        "http://..../", f"http://{'a' * 70}.example/", "http://host/\udcff",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_one_is_refused(url: str) -> None:
    """It is wrong usage, and not a server that is down."""
    with pytest.raises(SinkUnusable, match="expected an address"):
        HttpSink(url, JsonDialect())


def test_a_login_in_an_address_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in messages, nor in the report, nor in the letters; to send those again, it is given again."""
    monkeypatch.chdir(tmp_path)
    url = "http://me:hunter2@127.0.0.1:9/events"
    code, out, err = run(*STREAM, "--to", url, "--http-outage", "0s", "--report", "run.html")
    letters = Path("dead-letters.jsonl").read_text()
    assert (code, len(letters.splitlines())) == (1, json.loads(out)["scheduled"])
    for text in (out, err, letters, Path("run.html").read_text()):
        assert "hunter2" not in text
    assert '"http:http://…@127.0.0.1:9/events"' in letters
    code, _, err = run("stream", "--from-dead-letters", "dead-letters.jsonl")
    assert code == 2
    assert "give http:http://…@127.0.0.1:9/events with --to" in err
    assert Path("dead-letters.jsonl").read_text() == letters
    with pytest.raises(SinkUnusable, match="'http://…@host:port/'"):
        HttpSink("http://me:hunter2@host:port/", JsonDialect())


async def test_a_part_that_cannot_begin_is_tried_again(tmp_path: Path) -> None:
    """Without room for the next part its lines are counted as failed, one write after the other; later it goes on."""
    folder = tmp_path / "parts"
    folder.mkdir()
    sink = JsonlSink(folder / "events.jsonl", rotate_bytes=10)
    await sink.open()
    await sink.write(numbered(2))
    shutil.rmtree(folder)
    for _ in range(3):
        await sink.write(numbered(1))
    folder.mkdir()
    await sink.write(numbered(4))
    await sink.close()
    statistics = sink.statistics()
    assert (statistics.written, statistics.failed, statistics.pending) == (6, 3, 0)
    [part] = folder.iterdir()
    assert part.read_bytes() == b"".join(b'{"n":%d}\n' % number for number in range(4))


def test_two_sinks_do_not_share_statistics(tmp_path: Path) -> None:
    """Two sinks of one name would have one entry in the account, and one file every event twice."""
    with pytest.raises(SinkUnusable, match="expected each sink once"):
        FanOut.to(JsonlSink(tmp_path / "a.jsonl"), JsonlSink(tmp_path / "." / "a.jsonl"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--to", "jsonl:a.jsonl", "--to", "jsonl:./a.jsonl"),
        ("--to", "jsonl:a.jsonl", "--to", "jsonl:link.jsonl"),
        ("--to", "http://127.0.0.1:9/", "--to", "jsonl:dead-letters.jsonl"),
        ("--to", "http://127.0.0.1:9/", "--to", "jsonl:a.jsonl", "--dead-letters", "link.jsonl"),
    ],
)
def test_a_file_has_one_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """Two sinks, or a sink and the dead letters, are not to write to the same file."""
    monkeypatch.chdir(tmp_path)
    Path("link.jsonl").symlink_to("a.jsonl")
    code, out, err = run(*STREAM, *arguments)
    assert (code, out) == (2, "")
    assert "expected a file of its own" in err


@pytest.mark.parametrize("begins", [0.0, 100.0], ids=["at once", "while it waits"])
async def test_the_end_does_not_wait_for_a_late_probe(server: Server, dead: DeadLetters, begins: float) -> None:
    """A flush waits for half a minute, even if the server asks to be left alone for longer; nothing is asked before."""
    clock = AlarmClock()
    server.replies = [says(503, headers={"Retry-After": "250"})] * 100
    sink = HttpSink(server.url, JsonDialect(), connections=1, dead_letters=dead, clock=clock)
    await sink.open()
    await sink.write(numbered(3))
    await until(lambda: clock.sleepers == 1)
    clock.advance(begins)
    flush = asyncio.create_task(sink.flush())
    await until(lambda: clock.sleepers == 1 and clock.wakes_in() <= 30)
    assert clock.wakes_in() == pytest.approx(30)
    clock.wake()
    await asyncio.wait_for(flush, 20)
    await sink.close()
    assert len(server.bodies) == 1
    assert (sink.statistics().dead, sink.statistics().pending) == (3, 0)


class AlarmClock(ManualClock):
    """Time stands still while somebody sleeps, until `wake`."""

    def __init__(self) -> None:
        super().__init__()
        self.alarms: list[tuple[int, asyncio.Event]] = []

    @property
    def sleepers(self) -> int:
        return len(self.alarms)

    def wakes_in(self) -> float:
        return (min(when for when, _ in self.alarms) - self.now) / 1e6

    async def sleep(self, seconds: float) -> None:
        alarm = self.now + round(seconds * 1e6), asyncio.Event()
        self.alarms.append(alarm)
        try:
            await alarm[1].wait()
        finally:
            self.alarms.remove(alarm)

    def wake(self) -> None:
        when, event = min(self.alarms, key=lambda alarm: alarm[0])
        self.now = max(self.now, when)
        event.set()


def test_a_login_is_given_once() -> None:
    """aiohttp refuses a request with two of them, each time."""
    code, _, err = run(*STREAM, "--to", "http://a:b@127.0.0.1:9/", "--http-header", "authorization: Bearer x")
    assert code == 2
    assert "not both" in err


def test_stdout_that_is_closed_is_wrong_usage(tmp_path: Path) -> None:
    """Its number may be that of another file by then, which would get the events."""
    command = f"exec {sys.executable} -m eventbus {' '.join(STREAM)} --to stdout --to jsonl:a.jsonl >&- 2>err"
    code = os.waitstatus_to_exitcode(os.system(f"cd {tmp_path} && ({command})"))
    assert code == 2
    assert "stdout is closed" in (tmp_path / "err").read_text()


def test_the_end_does_not_wait_for_a_name_server() -> None:
    """A look-up that takes for ever is left behind; the event loop's own executor would wait for it."""
    answered, looked_up = threading.Event(), threading.Event()

    def look_up() -> None:
        looked_up.set()
        answered.wait(60)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, look_up), 0.05)

    ended = threading.Event()

    def program() -> None:
        run_abandoning_lookups(main())
        ended.set()

    thread = threading.Thread(target=program)
    thread.start()
    in_time = ended.wait(20)
    answered.set()
    thread.join()
    assert in_time
    assert looked_up.is_set()


async def test_results_and_errors_of_abandonable_threads_arrive() -> None:
    results: list[object] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        results.append(await loop.run_in_executor(None, sum, [1, 2]))
        results.extend(await asyncio.gather(loop.run_in_executor(None, int, "x"), return_exceptions=True))

    await asyncio.to_thread(run_abandoning_lookups, main())
    assert results[0] == 3
    assert isinstance(results[1], ValueError)


async def test_a_key_that_a_server_repeats_is_not_kept(server: Server, dead: DeadLetters) -> None:
    """Servers quote the key that they refuse: neither letters nor messages do."""
    server.replies = [says(400, "invalid key 'key-12345678', expected: Bearer key-12345678\n")]
    headers = {"Authorization": "Bearer key-12345678"}
    sink = HttpSink(server.url, JsonDialect(headers=headers), connections=1, dead_letters=dead)
    await sink.open()
    await sink.write(numbered(1))
    await sink.flush()
    await sink.close()
    assert server.headers[0]["authorization"] == "Bearer key-12345678"
    assert [letter["reason"] for letter in kept(dead)] == ["400 invalid key '…', expected: … (attempt 1)"]
    assert sink.statistics().last_error == "400 invalid key '…', expected: … (attempt 1)"


async def test_a_response_does_not_control_the_terminal(server: Server, dead: DeadLetters) -> None:
    server.replies = [says(400, "\x1b[2Jno\x07")]
    sink = HttpSink(server.url, JsonDialect(), connections=1, dead_letters=dead)
    await sink.open()
    await sink.write(numbered(1))
    await sink.flush()
    await sink.close()
    assert sink.statistics().last_error == "400 �[2Jno� (attempt 1)"


def test_letters_that_found_room_count_as_kept(tmp_path: Path) -> None:
    """Where the file cannot grow any more, the letters that are whole are dead, and the others failed."""
    script = tmp_path / "script.py"
    script.write_text(ROOM)
    out = subprocess.run(["sh", "-c", f"ulimit -f 8; exec {sys.executable} {script}"], check=True, capture_output=True)
    dead_letters, failed = map(int, out.stdout.split())
    *whole, torn = Path(tmp_path / "dead.jsonl").read_bytes().split(b"\n")
    assert torn
    assert (len(whole), len(whole) + failed) == (dead_letters, 100)
    assert [read_letter(line).record for line in whole] == numbered(100)[: len(whole)]


ROOM = """
import asyncio, pathlib
from eventbus.chains.sinks import DeadLetters, HttpSink, JsonDialect
from eventbus.record import ProducerRecord

async def main():
    records = [ProducerRecord("t", b"%d" % number, b'{"n":%d}' % number, 0) for number in range(100)]
    path = pathlib.Path(__file__).with_name("dead.jsonl")
    sink = HttpSink("http://127.0.0.1:9/", JsonDialect(), dead_letters=DeadLetters(path))
    await sink.reject(records, "a test")
    print(sink.statistics().dead, sink.statistics().failed)

asyncio.run(main())
"""
