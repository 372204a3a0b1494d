"""Dead letters: the records that a sink could not write, in a file with the reason, and how they are read back."""

from __future__ import annotations

import fcntl
import os
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from eventbus.chains.errors import ChainError
from eventbus.event import Headers
from eventbus.record import ProducerRecord

OPENING_ATTEMPTS = 100
"""How often to try to open a file that is being moved away to be sent again."""
OPENING_INTERVAL = 0.01
"""Seconds between two of these attempts."""


class InvalidDeadLetters(ChainError):
    """The file has no dead letters, or another program uses it."""


class DeadLettersUnwritable(ChainError):
    """Letters that have failed again cannot be kept."""


class Letter(NamedTuple):
    """A dead letter as it is read back."""

    sink: str
    reason: str
    record: ProducerRecord


class DeadLetters:
    """A file of records that no server took, a JSON object a line; it is created with the first of them.

    A line has `sink`, `reason`, the record's `topic`, `key`, `timestamp` (milliseconds since the Unix epoch) and
    `headers`, if it has its own, and as its value `event`, if that is JSON, or else `value` as text. What is not UTF-8
    is in `key_base64` and `value_base64`. Reading a line back gives the same record.

    Several programs may append to one file; a shared lock keeps it from being moved away meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        #: Whether the file may end within a line.
        self._torn = False
        self.last_error: str | None = None

    def put(self, sink: str, records: Sequence[ProducerRecord], reason: str) -> int:
        """Append records; returns how many of them, from the first, are in the file."""
        return self.put_lines([orjson.dumps(_document(sink, record, reason)) for record in records])

    def put_lines(self, lines: Sequence[bytes]) -> int:
        """Append lines as they are; returns how many of them, from the first, are in the file."""
        text, written, was_torn = b"", 0, False
        try:
            self._file = self._file or self._opened()
            was_torn, self._torn = self._torn, True
            text = b"\n" * was_torn + b"".join(line + b"\n" for line in lines)
            while written < len(text):
                written += self._file.write(memoryview(text)[written:])
        except OSError as error:
            self.last_error = f"{self.path} cannot be written: {error.strerror or error}"
            return max(text.count(b"\n", 0, written) - was_torn, 0)
        self._torn = False
        return len(lines)

    def sync(self) -> None:
        """Wait until the file is on the disk.

        Raises:
            OSError: it cannot be written.
        """
        if self._file:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _opened(self) -> BinaryIO:
        # Once a file was in use for that long, nothing waits for it again: the event loop stands still meanwhile.
        for attempt in range(1 if self.last_error else OPENING_ATTEMPTS):
            time.sleep(OPENING_INTERVAL if attempt else 0)
            file = self.path.open("a+b", buffering=0)
            if _is_locked(file, self.path, fcntl.LOCK_SH):
                self._torn = not _ends_a_line(file)
                return file
            file.close()
        raise BlockingIOError(f"{self.path} is in use")


PROGRESS = b'{"settled":'
"""Begins a line that says how much of a file of letters has been dealt with."""
READ_BYTES = 1 << 20


class Sending:
    """A file of dead letters that is being sent again.

    It is moved to a name that ends in `.sending`, so that it is sent once and new letters begin a file of their own;
    `settle` notes in it how far it has been dealt with, and `finish` removes it. If the program dies, even by SIGKILL,
    the next one continues with the moved file from the last note: what was sent after it is sent again. Without
    `claim`, `close` moves it back, unless there are new letters.

    Args:
        path: the file as the stream wrote it.

    Raises:
        InvalidDeadLetters: there is no such file, it has no letters, or another program uses it.
        OSError: it cannot be moved.
    """

    def __init__(self, path: Path) -> None:
        path = self._source = path.resolve()
        self.path = path.with_name(f"{path.name}.sending")
        """Where the file is while it is sent."""
        self.is_continued = self.is_claimed = self.path.exists()
        """Whether an earlier program did not come to the end of the file; and whether this one has begun to send it."""
        self._is_moved = False
        source = self.path if self.is_continued else path
        try:
            self._file: BinaryIO = source.open("r+b", buffering=0)
        except FileNotFoundError:
            raise InvalidDeadLetters(f"{path}: there is no such file, and so nothing to send again") from None
        try:
            is_locked = _is_locked(self._file, source, fcntl.LOCK_EX)
            if not is_locked or (self.path.exists() and not self.is_continued):
                raise InvalidDeadLetters(f"{source}: another program writes dead letters to it, or sends them")
            if not self.is_continued:  # at once: while it is locked, a stream could not keep its letters
                source.rename(self.path)
                self._is_moved = True
            self._settled, self._end = _progress(self._file)
            self.letters, self.unreadable = 0, 0
            self.sinks: set[str] = set()
            self.topics: set[str] = set()
            self._count(source)
        except BaseException:
            self.close()
            raise

    @property
    def paths(self) -> tuple[Path, Path]:
        """Where the file was, and where it is: nothing else is to be written there."""
        return self._source, self.path

    def claim(self) -> None:
        """Begin to send the letters: the file stays where it is."""
        self.is_claimed = True

    def chunks(self, lines: int) -> Iterator[tuple[list[bytes], int]]:
        """The lines that are not settled, this many at a time, each time with the place where they end."""
        place, chunk = self._settled, list[bytes]()
        for line in self._lines():
            place += len(line)
            if not line.isspace():
                chunk.append(line.rstrip(b"\r\n"))
            if len(chunk) == lines:
                yield chunk, place
                chunk = []
        if chunk:
            yield chunk, place

    def settle(self, place: int) -> None:
        """Note that the letters up to this place are sent, or kept elsewhere.

        Raises:
            OSError: the note cannot be written.
        """
        self._file.seek(0, os.SEEK_END)
        note = b'%s%d,"end":%d}\n' % (PROGRESS, place, self._end)
        self._file.write(note if _ends_a_line(self._file) else b"\n" + note)
        os.fsync(self._file.fileno())
        self._settled = place

    def finish(self) -> None:
        """Remove the file: nothing is left in it."""
        self.path.unlink()

    def close(self) -> None:
        if not self.is_claimed and self._is_moved:
            with suppress(OSError):  # there are new letters, or no links: the next program continues with this file
                self._source.hardlink_to(self.path)
                self.path.unlink()
        self._file.close()

    def _lines(self) -> Iterator[bytes]:
        """The lines from the last note on. The file's position may change meanwhile."""
        place, rest = self._settled, b""
        while place < self._end:
            piece = os.pread(self._file.fileno(), min(READ_BYTES, self._end - place), place)
            if not piece:
                break
            place += len(piece)
            *whole, rest = _split(rest + piece)
            yield from whole
        if rest and not (rest.startswith(PROGRESS) or PROGRESS.startswith(rest)):  # the first note may be torn
            yield rest

    def _count(self, source: Path) -> None:
        problem = "no letters"
        for number, line in enumerate(self._lines(), 1):
            if line.isspace():
                continue
            try:
                letter = read_letter(line)
            except ValueError as error:
                self.unreadable += 1
                problem = f"line {number}: {error}" if self.unreadable == 1 else problem
            else:
                self.letters += 1
                self.sinks.add(letter.sink)
                self.topics.add(letter.record.topic)
        if self.unreadable and not self.letters and not self.is_continued:
            raise InvalidDeadLetters(f"{source}: expected dead letters; {problem}")


def read_letter(line: bytes) -> Letter:
    """The letter of a line.

    Raises:
        ValueError: the line is none; the text says what was expected.
    """
    try:
        return _letter(orjson.loads(line))
    except TypeError as error:  # orjson's, of values that are too deep
        raise ValueError(f"expected a dead letter: {error}") from None


def _letter(letter: Any) -> Letter:
    names = ("sink", "reason", "topic")
    if not isinstance(letter, dict) or not all(isinstance(letter.get(name), str) for name in names):
        raise ValueError("expected an object with sink, reason and topic")
    timestamp = letter.get("timestamp")
    record = ProducerRecord(
        letter["topic"],
        _bytes_of(letter, "key"),
        orjson.dumps(letter["event"]) if "event" in letter else _bytes_of(letter, "value"),
        timestamp if isinstance(timestamp, int) and not isinstance(timestamp, bool) else time.time_ns() // 1_000_000,
        None if letter.get("headers") is None else _headers(letter["headers"]),
    )
    return Letter(letter["sink"], letter["reason"], record)


def _headers(pairs: Any) -> Headers:
    try:
        headers = [(name, text.encode("latin-1")) for name, text in pairs]
    except (TypeError, ValueError, AttributeError):
        raise ValueError(f"expected headers as pairs of name and text, got {pairs!r}") from None
    if not all(isinstance(name, str) for name, _ in headers):
        raise ValueError(f"expected headers as pairs of name and text, got {pairs!r}")
    return headers


def _document(sink: str, record: ProducerRecord, reason: str) -> dict[str, Any]:
    letter: dict[str, Any] = {"sink": sink, "reason": reason, "topic": record.topic}
    letter |= {**_text_of("key", record.key), "timestamp": record.timestamp}
    if record.headers is not None:
        letter["headers"] = [(name, value.decode("latin-1")) for name, value in record.headers]
    with suppress(orjson.JSONDecodeError, orjson.JSONEncodeError):  # the latter if it is too deep
        value = record.value or b""
        event = orjson.loads(value)
        if orjson.dumps({"event": event}) == b'{"event":%b}' % value:
            return {**letter, "event": event}
    return {**letter, **_text_of("value", record.value)}  # as text it stays the same to the byte


def _text_of(name: str, content: bytes | None) -> dict[str, str | None]:
    if content is None:
        return {name: None}
    try:
        return {name: content.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": b64encode(content).decode()}


def _bytes_of(letter: dict[str, Any], name: str) -> bytes | None:
    if (encoded := letter.get(f"{name}_base64")) is not None:
        if not isinstance(encoded, str):
            raise ValueError(f"expected {name}_base64 as text, got {encoded!r}")
        return b64decode(encoded, validate=True)
    if name not in letter:
        raise ValueError(f"expected {name}")
    text = letter[name]
    if text is not None and not isinstance(text, str):
        raise ValueError(f"expected {name} as text, got {text!r}")
    return None if text is None else text.encode()


def _is_locked(file: BinaryIO, path: Path, lock: int) -> bool:
    """Locks an open file without waiting; returns whether that worked and the file still has this name."""
    try:
        fcntl.flock(file, lock | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _ends_a_line(file: BinaryIO) -> bool:
    size = os.fstat(file.fileno()).st_size
    return size == 0 or os.pread(file.fileno(), 1, size - 1) == b"\n"


def _split(text: bytes) -> list[bytes]:
    """The whole lines of a text, each with its end, and then what is left."""
    *whole, rest = text.split(b"\n")
    return [*(line + b"\n" for line in whole), rest]


def _progress(file: BinaryIO) -> tuple[int, int]:
    """How much of a file of letters is settled, and where the letters end, from the last whole note in it."""
    size = os.fstat(file.fileno()).st_size
    tail = os.pread(file.fileno(), 4096, max(size - 4096, 0))
    for line in reversed(tail.split(b"\n")[:-1]):
        if line.startswith(PROGRESS):
            with suppress(orjson.JSONDecodeError, KeyError):
                note = orjson.loads(line)
                return note["settled"], note["end"]
    return 0, size
