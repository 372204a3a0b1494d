"""Dead letters: the records that a sink could not write, kept in a file with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from eventbus.record import ProducerRecord


class DeadLetters:
    """A file of records that no server took, a JSON object a line; it is created with the first of them.

    A line has `sink`, `reason`, the record's `topic` and `key`, and `event`, or `value` as text if that is not JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def put(self, sink: str, records: Sequence[ProducerRecord], reason: str) -> bool:
        """Append records; returns whether that worked."""
        lines = b"".join(orjson.dumps(_letter(sink, record, reason)) + b"\n" for record in records)
        try:
            self._file = self._file or self.path.open("ab")
            self._file.write(lines)
            self._file.flush()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file:
            with suppress(OSError):
                self._file.close()


def _letter(sink: str, record: ProducerRecord, reason: str) -> dict[str, Any]:
    letter = {"sink": sink, "reason": reason, "topic": record.topic, "key": _text(record.key)}
    try:
        return {**letter, "event": orjson.loads(record.value or b"")}
    except orjson.JSONDecodeError:
        return {**letter, "value": _text(record.value)}


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")
