"""Letters are kept and sent again also where files, letters or servers are odd."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from eventbus.chains.sinks import (
    DeadLetters,
    HttpSink,
    InvalidDeadLetters,
    JsonDialect,
    Resend,
    Sending,
    read_letter,
)
from eventbus.cli import cli
from eventbus.record import ProducerRecord
from tests.sinks.conftest import kept
from tests.unit.chains.clocks import ManualClock

LETTER = {"sink": "http:there", "reason": "why", "topic": "t", "key": "k", "timestamp": 1, "headers": None}


def numbered(count: int) -> list[ProducerRecord]:
    return [ProducerRecord("t", b"%d" % number, b'{"n":%d}' % number, 0) for number in range(count)]


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def filled(path: Path, records: Sequence[ProducerRecord], sink: str = "http:there") -> Path:
    letters = DeadLetters(path)
    assert letters.put(sink, records, "never sent: a test")
    letters.close()
    return path


def run(*arguments: str) -> tuple[int, str, str]:
    outcome = CliRunner().invoke(cli, arguments)
    return outcome.exit_code, outcome.stdout, outcome.stderr


@pytest.mark.parametrize("target", ["dead.jsonl", "./dead.jsonl", "dead.jsonl.sending", "link.jsonl"])
def test_letters_are_not_sent_into_their_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """That file is removed at the end, and all that was written to it would be gone."""
    monkeypatch.chdir(tmp_path)
    letters = filled(Path("dead.jsonl"), numbered(3)).read_bytes()
    Path("link.jsonl").symlink_to("dead.jsonl")
    code, out, err = run("stream", "--from-dead-letters", "dead.jsonl", "--to", f"jsonl:{target}")
    assert (code, out) == (2, "")
    assert "expected another file" in err
    assert Path("dead.jsonl").read_bytes() == letters
    assert not Path("dead.jsonl.sending").exists()


async def test_sending_again_stops_at_a_dead_server(unused_tcp_port: int, tmp_path: Path) -> None:
    """Also if there are more letters than wait in the sink: the time limit includes waiting for room."""
    path, clock = filled(tmp_path / "dead.jsonl", numbered(400)), ManualClock()
    dead, sending = DeadLetters(path), Sending(path)
    sink = HttpSink(f"http://127.0.0.1:{unused_tcp_port}/", JsonDialect(), dead_letters=dead, clock=clock)
    resend = Resend(sending, sink, dead)
    begin = clock.time_us()
    await asyncio.wait_for(resend.run(), 20)
    sending.close()
    dead.close()
    assert resend.is_down
    assert (resend.statistics.letters, resend.statistics.again) == (400, 400)
    assert 30 <= (clock.time_us() - begin) / 1e6 < 32
    assert sorted(letter["event"]["n"] for letter in kept(dead)) == list(range(400))


def test_a_stream_keeps_letters_while_older_ones_are_about_to_be_sent(tmp_path: Path) -> None:
    """The file is free as soon as it is chosen to be sent, however long it takes to read it or to open the sink."""
    path = filled(tmp_path / "dead.jsonl", numbered(2))
    sending, stream = Sending(path), DeadLetters(path)
    assert stream.put("http:there", numbered(1), "why")
    stream.close()
    sending.close()
    assert len(kept(stream)) == 1, "the new letters are not replaced by those that were not sent"
    continued = Sending(path)
    assert (continued.is_continued, continued.letters) == (True, 2)
    continued.close()


def test_letters_that_are_not_sent_are_moved_back(tmp_path: Path) -> None:
    letters = filled(tmp_path / "dead.jsonl", numbered(2)).read_bytes()
    Sending(tmp_path / "dead.jsonl").close()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("dead.jsonl", letters)]


def test_letters_that_are_being_sent_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that begins in the very moment in which another moves the file away does not touch it."""
    path = filled(tmp_path / "dead.jsonl", numbered(2))
    moved = tmp_path / "dead.jsonl.sending"
    real_flock = fcntl.flock

    def flock(file: int, lock: int) -> None:
        real_flock(file, lock)
        if lock & fcntl.LOCK_EX:
            moved.write_bytes(b"letters of the other program")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(InvalidDeadLetters, match="another program"):
        Sending(path)
    assert moved.read_bytes() == b"letters of the other program"
    assert len(path.read_bytes().splitlines()) == 2


def test_a_file_in_use_holds_up_the_stream_once(tmp_path: Path) -> None:
    """The event loop stands still while the file is tried: once a second of it was in vain, nothing waits again."""
    path = tmp_path / "dead.jsonl"
    with path.open("wb") as other, closing(DeadLetters(path)) as dead:
        fcntl.flock(other, fcntl.LOCK_EX)
        begin = time.monotonic()
        assert not any(dead.put("http:there", numbered(1), "why") for _ in range(21))
        assert time.monotonic() - begin < 15
        assert "is in use" in str(dead.last_error)
        fcntl.flock(other, fcntl.LOCK_UN)
        assert dead.put("http:there", numbered(1), "why"), "it is used as soon as it is free"


def test_blank_lines_are_no_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    letters = filled(Path("dead.jsonl"), numbered(3)).read_bytes()
    Path("dead.jsonl").write_bytes(letters.replace(b"\n", b"\r\n\n") + b"\n")
    code, out, _ = run("stream", "--from-dead-letters", "dead.jsonl", "--to", "jsonl:out.jsonl")
    assert (code, out.splitlines()[0]) == (0, "3 letters = 3 sent")
    assert not Path("dead.jsonl").exists()
    assert Path("out.jsonl").read_bytes() == b'{"n":0}\n{"n":1}\n{"n":2}\n'


def test_progress_that_cannot_be_noted_is_one_line_of_error(tmp_path: Path) -> None:
    """At the largest size that a file may have, the letters stay, and the next run continues with them."""
    filled(tmp_path / "dead.jsonl", numbered(100))
    command = f"exec {sys.executable} -m eventbus stream --from-dead-letters dead.jsonl --to bus"
    code = os.waitstatus_to_exitcode(os.system(f"cd {tmp_path} && (ulimit -f 1; {command} >out 2>err)"))
    assert code == 1
    assert (tmp_path / "err").read_text().splitlines() == ["Error: [Errno 27] File too large"]
    continued = Sending(tmp_path / "dead.jsonl")
    assert (continued.is_continued, continued.letters) == (True, 100)
    continued.close()


@pytest.mark.parametrize("levels", [250, 254, 300, 900, 2000])
def test_a_letter_may_be_deep(dead: DeadLetters, levels: int) -> None:
    """What is too deep for JSON objects within a letter is kept as text."""
    record = ProducerRecord("t", None, deep(levels), 0)
    assert dead.put("http:there", [record], "why")
    assert read_letter(dead.path.read_bytes()).record == record


@pytest.mark.parametrize(
    "fields",
    [
        {"key_base64": 5, "value": "x"},
        {"value_base64": ["eA=="]},
        {"value": "x", "headers": [[5, "x"]]},
        {"value": "x", "headers": [["name", 5]]},
    ],
)
def test_a_field_of_another_type_is_no_letter(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_letter(orjson.dumps({**LETTER, **fields}))


def test_an_event_that_is_too_deep_is_no_letter() -> None:
    with pytest.raises(ValueError, match="expected a dead letter"):
        read_letter(orjson.dumps(LETTER)[:-1] + b',"event":' + deep(600) + b"}")
