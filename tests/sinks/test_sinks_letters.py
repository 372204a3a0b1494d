"""Dead letters are read back as they were, and sent again: each is sent, or kept; none is lost, whatever happens."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from eventbus import KafkaBus
from eventbus.chains.errors import SinkUnusable
from eventbus.chains.sinks import (
    DeadLetters,
    DeadLettersUnwritable,
    HttpSink,
    InvalidDeadLetters,
    JsonDialect,
    Resend,
    RetryPolicy,
    Sending,
    Sink,
    read_letter,
)
from eventbus.chains.sinks.resend import CHUNK
from eventbus.chains.sinks.sink import CountingSink
from eventbus.cli import cli
from eventbus.record import ProducerRecord
from tests.kafka.server import KafkaServer
from tests.kafka.test_kafka_stream import size
from tests.sinks.conftest import Server, kept, says, until
from tests.sinks.test_sinks_cli import SHORT, account, outcome
from tests.unit.chains.clocks import ManualClock

Folders = pytest.TempPathFactory

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
    max_leaves=5,
)
VALUES = st.none() | st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode())
HEADERS = st.none() | st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=3)
RECORDS = st.builds(
    ProducerRecord, st.text(max_size=5), st.none() | st.binary(max_size=20), VALUES, st.integers(0, 2**53), HEADERS
)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: Folders) -> Folders:
    return tmp_path_factory


def numbered(count: int, first: int = 0) -> list[ProducerRecord]:
    return [ProducerRecord("t", b"k", b'{"n":%d}' % number, 1) for number in range(first, first + count)]


def filled(path: Path, records: Sequence[ProducerRecord], sink: str = "http:there") -> Path:
    """A file of letters, as a stream writes it."""
    letters = DeadLetters(path)
    assert letters.put(sink, records, "never sent: a test")
    letters.close()
    return path


def listed(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def is_empty(folder: Path) -> bool:
    return not listed(folder)


def numbers(server: Server) -> list[int]:
    return [item["n"] for item in server.items]  # type: ignore[index]


async def resent(path: Path, sink: Sink, dead: DeadLetters) -> Resend:
    """Sends a file again, as the command does."""
    sending = Sending(path)
    try:
        resend = Resend(sending, sink, dead)
        await resend.run()
    finally:
        sending.close()
        dead.close()
    return resend


@given(st.lists(RECORDS, min_size=1, max_size=5))
def test_a_letter_is_read_back_to_the_byte(
    tmp_path_factory: pytest.TempPathFactory, records: list[ProducerRecord]
) -> None:
    """Whatever bytes a record has, JSON or not, its letter gives the same topic, key, value, time and headers."""
    dead = DeadLetters(tmp_path_factory.mktemp("letters") / "dead.jsonl")
    assert dead.put("http:there", records, "why")
    dead.close()
    lines = dead.path.read_bytes().splitlines()
    letters = [read_letter(line) for line in lines]
    assert [letter.record for letter in letters] == records
    assert {(letter.sink, letter.reason) for letter in letters} == {("http:there", "why")}


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[]", b"{}", b'{"sink": "s", "reason": "r"}', b'{"sink": "s", "reason": "r", "topic": "t"}',
        b'{"sink": "s", "reason": "r", "topic": "t", "key": null, "value": 3}',
        b'{"sink": "s", "reason": "r", "topic": "t", "key": null, "value_base64": "?"}',
        b'{"sink": "s", "reason": "r", "topic": "t", "key": null, "event": {}, "headers": [1]}',
        b'{"sink": 1, "reason": "r", "topic": "t", "key": null, "event": {}}',
    ],
)  # fmt: skip
def test_what_is_no_letter_is_refused(line: bytes) -> None:
    """With an error that says what was expected."""
    with pytest.raises(ValueError, match=r"expected|unexpected|EOF|JSON|base64|Only|empty"):
        read_letter(line)


async def test_letters_are_sent_again_once(server: Server, tmp_path: Path) -> None:
    """All arrive in their order, the file is gone, and a second run finds nothing to send."""
    path = filled(tmp_path / "dead.jsonl", numbered(CHUNK + 300))
    dead = DeadLetters(path)
    sink = HttpSink(server.url, JsonDialect(batch=50), connections=4, name="http:there", dead_letters=dead)
    resend = await resent(path, sink, dead)
    assert numbers(server) == list(range(CHUNK + 300))
    assert (resend.statistics.letters, resend.statistics.sent, resend.statistics.waiting) == (CHUNK + 300,) * 2 + (0,)
    assert is_empty(tmp_path)
    with pytest.raises(InvalidDeadLetters, match="no such file"):
        Sending(path)


async def test_what_fails_again_is_a_letter_again(server: Server, tmp_path: Path) -> None:
    """A refused letter is in a new file of the same name, with the new reason; only that one is sent the next time."""

    async def refuse_seven(request: web.Request) -> web.StreamResponse:
        return web.Response(status=400 if b'"n":7}' in await request.read() else 200, text="no")

    server.replies = [refuse_seven] * 20
    path = filled(tmp_path / "dead.jsonl", numbered(20))
    for expected in (list(range(20)), [7]):
        server.bodies.clear()
        dead = DeadLetters(path)
        sink = HttpSink(server.url, JsonDialect(), name="http:there", dead_letters=dead)
        resend = await resent(path, sink, dead)
        assert sorted(numbers(server)) == expected
        server.replies = [refuse_seven]
        assert (resend.statistics.sent, resend.statistics.again) == (len(expected) - 1, 1)
        [letter] = kept(dead)
        assert (letter["event"], letter["reason"]) == ({"n": 7}, "400 no (attempt 1)")


async def test_a_server_that_is_still_down_leaves_the_rest_waiting(server: Server, tmp_path: Path) -> None:
    """After one chunk without success the run ends; two further runs with the server up send everything once."""
    path = filled(tmp_path / "dead.jsonl", numbered(3 * CHUNK))
    server.replies = [says(503)] * 200
    for letters, sent in ((3 * CHUNK, 0), (2 * CHUNK, 2 * CHUNK), (CHUNK, CHUNK)):
        dead = DeadLetters(path)
        sink = HttpSink(
            server.url, JsonDialect(batch=100), connections=1, name="http:there", dead_letters=dead,
            clock=ManualClock(), retry=RetryPolicy(outage=5),
        )  # fmt: skip
        resend = await resent(path, sink, dead)
        assert (resend.statistics.letters, resend.statistics.sent) == (letters, sent)
        assert resend.is_down == (sent == 0)
        server.replies.clear()
        if sent == 0:
            server.bodies.clear()
    assert sorted(numbers(server)) == list(range(3 * CHUNK))
    assert is_empty(tmp_path)


class HalfSink(CountingSink):
    """Writes every second record, and does not say which."""

    def __init__(self) -> None:
        super().__init__("half")
        self.taken: list[ProducerRecord] = []

    async def open(self) -> None: ...

    async def write(self, records: Sequence[ProducerRecord]) -> None:
        self._counts.accepted += len(records)
        self.taken += records[::2]
        self._counts.written += len(records[::2])
        self._counts.failed += len(records[1::2])
        self._counts.last_error = "half of it"

    async def close(self) -> None: ...


async def test_a_sink_without_letters_of_its_own_loses_none(tmp_path: Path) -> None:
    """Where a sink only counts what failed, all letters of the chunk are kept: some twice rather than one lost."""
    path = filled(tmp_path / "dead.jsonl", numbered(10))
    dead = DeadLetters(path)
    resend = await resent(path, HalfSink(), dead)
    assert [letter["event"]["n"] for letter in kept(dead)] == list(range(10))
    assert resend.statistics.again == 10


async def test_without_room_for_new_letters_the_old_ones_stay(server: Server, tmp_path: Path) -> None:
    """Letters that fail again and can be kept nowhere are not settled: they wait in the file."""
    path = filled(tmp_path / "dead.jsonl", numbered(3))
    server.replies = [says(400)] * 3
    dead = DeadLetters(tmp_path / "no" / "folder.jsonl")
    sink = HttpSink(server.url, JsonDialect(), name="http:there", dead_letters=dead)
    with pytest.raises(DeadLettersUnwritable, match=r"folder\.jsonl cannot be written: No such file"):
        await resent(path, sink, dead)
    dead = DeadLetters(path)
    await resent(path, HttpSink(server.url, JsonDialect(), name="http:there", dead_letters=dead), dead)
    assert sorted(numbers(server)) == [0, 0, 1, 1, 2, 2]
    assert is_empty(tmp_path)


async def test_a_torn_line_is_kept_and_the_others_are_sent(server: Server, tmp_path: Path) -> None:
    """The last line of a program that was killed is no letter: it stays, byte for byte, in the new file."""
    path = filled(tmp_path / "dead.jsonl", numbered(3))
    torn = b'{"sink":"http:there","rea'
    path.write_bytes(path.read_bytes() + torn)
    dead = DeadLetters(path)
    resend = await resent(path, HttpSink(server.url, JsonDialect(), name="http:there", dead_letters=dead), dead)
    assert sorted(numbers(server)) == [0, 1, 2]
    assert path.read_bytes() == torn + b"\n"
    assert (resend.statistics.sent, resend.statistics.again) == (3, 1)


async def test_a_link_stays_a_link(server: Server, tmp_path: Path) -> None:
    """The file that a link points to is sent and removed; what fails again is behind the same link."""
    target = filled(tmp_path / "target.jsonl", numbered(2))
    link = tmp_path / "link.jsonl"
    link.symlink_to(target)
    server.replies = [says(400)]
    dead = DeadLetters(link)
    sink = HttpSink(server.url, JsonDialect(), connections=1, name="http:there", dead_letters=dead)
    await resent(link, sink, dead)
    assert numbers(server) == [0, 1]
    assert [letter["event"]["n"] for letter in kept(DeadLetters(target))] == [0]
    assert {entry.name for entry in listed(tmp_path)} == {"target.jsonl", "link.jsonl"}


def test_letters_after_a_torn_line_begin_a_line(tmp_path: Path) -> None:
    """A stream that appends to the file of a killed one does not spoil its own first letter."""
    path = tmp_path / "dead.jsonl"
    path.write_bytes(b'{"sink":"ht')
    filled(path, numbered(2))
    assert [line[:1] for line in path.read_bytes().splitlines()] == [b"{"] * 3
    assert [read_letter(line).record for line in path.read_bytes().splitlines()[1:]] == numbered(2)


@pytest.mark.parametrize("text", [b"", b'{"event_id": "x"}\n' * 3, b"\x00\x01"], ids=["empty", "events", "binary"])
def test_another_file_is_left_alone(tmp_path: Path, text: bytes) -> None:
    """A file without letters is not moved away; an empty one has none to lose."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(text)
    if not text:
        sending = Sending(path)
        sending.claim()
        sending.finish()
        sending.close()
        assert not path.exists()
        return
    with pytest.raises(InvalidDeadLetters, match="expected dead letters; line 1: "):
        Sending(path)
    assert path.read_bytes() == text


async def test_letters_of_another_sink_stay(server: Server, tmp_path: Path) -> None:
    """A file of two sinks: those of the chosen one are sent, the others are kept; a third sink is refused."""
    path = filled(tmp_path / "dead.jsonl", numbered(3), "http:there")
    filled(path, numbered(3, first=10), "http:elsewhere")
    dead = DeadLetters(path)
    with pytest.raises(SinkUnusable, match=r"http:elsewhere, http:there\), got half"):
        await resent(path, HalfSink(), dead)
    resend = await resent(path, HttpSink(server.url, JsonDialect(), name="http:there", dead_letters=dead), dead)
    assert sorted(numbers(server)) == [0, 1, 2]
    assert [(letter["sink"], letter["event"]["n"]) for letter in kept(dead)] == [
        ("http:elsewhere", number) for number in (10, 11, 12)
    ]
    assert (resend.statistics.sent, resend.statistics.others, resend.statistics.again) == (3, 3, 0)


def test_a_file_that_a_stream_still_writes_is_left_to_it(tmp_path: Path) -> None:
    """The letters of a running stream are sent once it has ended; two programs do not send one file."""
    path = tmp_path / "dead.jsonl"
    dead = DeadLetters(path)
    dead.put("http:there", numbered(1), "why")
    with pytest.raises(InvalidDeadLetters, match="another program"):
        Sending(path)
    dead.close()
    sending = Sending(path)
    for _ in range(2):
        with pytest.raises(InvalidDeadLetters, match="another program"):
            Sending(path)
        sending.claim()
    assert dead.put("http:there", numbered(1, first=5), "why"), "a stream that begins meanwhile has a file of its own"
    dead.close()
    assert [letter["event"]["n"] for letter in kept(dead)] == [5]
    sending.close()


@given(st.integers(0, 200), st.integers(1, 30), st.integers(0, 10))
def test_a_run_continues_from_the_last_whole_note(folders: Folders, cut: int, chunk: int, chunks: int) -> None:
    """However a note is torn when the program dies, the next one begins at a chunk, never after an unsettled letter."""
    path = filled(folders.mktemp("letters") / "dead.jsonl", numbered(40))
    sending = Sending(path)
    sending.claim()
    size = sending.path.stat().st_size
    settled = [0]
    for number, (lines, place) in enumerate(sending.chunks(chunk)):
        if number == chunks:
            break
        sending.settle(place)
        settled.append(settled[-1] + len(lines))
    sending.close()
    text = sending.path.read_bytes()
    sending.path.write_bytes(text[: max(size, len(text) - cut)])
    continued = Sending(path)
    assert continued.is_continued
    rest = [read_letter(line).record for lines, _ in continued.chunks(7) for line in lines]
    assert rest == numbered(40)[40 - len(rest) :]
    assert 40 - len(rest) in settled
    if cut == 0:
        assert 40 - len(rest) == settled[-1]
    continued.close()


STREAM = ("-m", "eventbus", "stream")


async def start(folder: Path, *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, *STREAM, *arguments, stdout=PIPE, stderr=PIPE, cwd=folder
    )


async def test_the_command_survives_a_kill(server: Server, tmp_path: Path) -> None:
    """Killed by SIGKILL halfway, the same command sends the rest: every letter arrives, at most a chunk twice."""
    count = 6 * CHUNK
    filled(tmp_path / "dead.jsonl", numbered(count), f"http:{server.url}")

    async def slowly(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.01)
        return web.Response()

    server.replies = [slowly] * 1000
    arguments = ("--from-dead-letters", "dead.jsonl", "--http-batch", "50", "--http-connections", "1", "--json")
    process = await start(tmp_path, *arguments)
    await until(lambda: len(server.bodies) * 50 >= count // 2)
    process.kill()
    await process.wait()
    code, out, err = await outcome(await start(tmp_path, *arguments))
    assert code == 0, err
    assert "which an earlier run did not finish" in err
    times = Counter(numbers(server))
    assert set(times) == set(range(count))
    assert sum(times.values()) - count <= CHUNK + 50
    figures = json.loads(out)
    assert 0 < figures["sent"] == figures["letters"] <= count // 2 + CHUNK
    assert is_empty(tmp_path)


async def test_ctrl_c_leaves_every_letter_somewhere(server: Server, tmp_path: Path) -> None:
    """Stopped while the server is silent: what was under way is in the new file, the rest waits, nothing is lost."""
    count = 3 * CHUNK
    filled(tmp_path / "dead.jsonl", numbered(count), f"http:{server.url}")
    never = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    server.replies = [says()] * 3 + [silent] * 1000
    arguments = ("--from-dead-letters", "dead.jsonl", "--http-batch", "100", "--http-connections", "1", "--json")
    process = await start(tmp_path, *arguments)
    await until(lambda: len(server.bodies) == 4)
    process.send_signal(signal.SIGINT)
    code, out, _ = await outcome(process)
    never.set()
    figures = json.loads(out)
    assert code == 1
    assert (figures["sent"], figures["again"], figures["waiting"]) == (300, CHUNK - 300, count - CHUNK)
    again = kept(DeadLetters(tmp_path / "dead.jsonl"))
    assert [letter["event"]["n"] for letter in again] == list(range(300, CHUNK))
    server.replies = []
    server.bodies.clear()
    for _ in range(2):
        code, out, err = await outcome(await start(tmp_path, *arguments))
        assert code == 0, err
    assert sorted(numbers(server)) == list(range(300, count))


async def test_a_stream_that_met_a_dead_server_is_made_up_for(server: Server, tmp_path: Path) -> None:
    """The whole way by hand: a stream to nobody, then the same letters to a server that is up, and to a file."""
    code, out, err = await outcome(
        await start(
            tmp_path, "--seed", "3", "--rate", "500", "--speed", "max", "--duration", "1s", "--to",
            "http://127.0.0.1:9/", "--to", "jsonl:all.jsonl", "--http-outage", "0s", "--json",
        )
    )  # fmt: skip
    assert code == 1, err
    account: dict[str, Any] = json.loads(out)
    figures = account["sinks"]["http:http://127.0.0.1:9/"]
    assert figures["reasons"] == {"never sent": account["scheduled"]}
    arguments = ("--from-dead-letters", "dead-letters.jsonl", "--to", server.url, "--http-batch", "100")
    code, out, err = await outcome(await start(tmp_path, *arguments))
    assert (code, err) == (0, "")
    assert out.startswith(f"{account['scheduled']:,} letters = {account['scheduled']:,} sent\n")
    lines = (tmp_path / "all.jsonl").read_bytes().splitlines()
    assert sorted(map(orjson.dumps, server.items)) == sorted(lines)
    assert len(lines) == account["scheduled"] > 100
    code, _, err = await outcome(await start(tmp_path, *arguments))
    assert code == 2
    assert "nothing to send again" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rate", "5", "--seed", "1"), "--seed, --rate"),
        (("--fault", "drop=0.1"), "--fault"),
        (("--when-full", "drop"), "--when-full"),
        (("--to", "bus", "--to", "stdout"), "expected one sink"),
        (("--to", "jsonl:no/such/folder"), "No such file or directory"),
    ],
)
def test_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str) -> None:
    """It is said what does not go together, and the letters stay where they are, or wait for the next run."""
    monkeypatch.chdir(tmp_path)
    filled(Path("dead.jsonl"), numbered(3), "jsonl:out.jsonl")
    refused = CliRunner().invoke(cli, ["stream", "--from-dead-letters", "dead.jsonl", *arguments])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert said in refused.stderr
    sent = CliRunner().invoke(cli, ["stream", "--from-dead-letters", "dead.jsonl"])
    assert sent.exit_code == 0, sent.stderr
    assert Path("out.jsonl").read_bytes() == b'{"n":0}\n{"n":1}\n{"n":2}\n'


@pytest.mark.kafka
async def test_dead_letters_into_kafka(tmp_path: Path, kafka_server: KafkaServer, server: Server) -> None:
    """What a server refused can be sent to Kafka: each record with its key and value, once, and the file is gone."""
    server.replies = [says(400, "never")] * 100_000
    code, figures = await account(tmp_path, *SHORT, "--to", f"http:{server.url}", "--topics", "single")
    letters = [json.loads(line) for line in (tmp_path / "dead-letters.jsonl").read_text().splitlines()]
    assert code == 1
    assert len(letters) == figures["scheduled"] > 100
    (tmp_path / ".env").write_text(f"KAFKA_BROKERS={kafka_server.bootstrap}\n")
    async with KafkaBus(kafka_server.bootstrap) as bus:
        await size(kafka_server.bootstrap)
        async with bus.subscribe("omninode.events", auto_offset_reset="latest") as news:
            reading = asyncio.ensure_future(anext(news))
            code, out, err = await outcome(
                await start(tmp_path, "--from-dead-letters", "dead-letters.jsonl", "--to", "kafka", "--json")
            )
            async with asyncio.timeout(30):
                record = await reading
    assert code == 0, err
    assert json.loads(out)["sent"] == len(letters)
    assert not (tmp_path / "dead-letters.jsonl").exists()
    sent = {letter["event"]["event_id"]: letter for letter in letters}
    assert sent[record.event.event_id]["key"] == (record.key or b"").decode()
