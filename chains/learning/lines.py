"""Lines of a file that may be compressed, many at a time."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

import cramjam

from eventbus.chains.errors import UnreadableStream

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
"""How files begin that are compressed (RFC 1952 §2.3.1, RFC 8878 §3.1.1)."""
TOGETHER = 1 << 20
"""Bytes of text read at once."""


def batches(file: BinaryIO) -> Iterator[list[bytes]]:
    """The lines of a file in lists of some thousands, decompressed if its first bytes say that it is compressed.

    Raises:
        UnreadableStream: what is compressed cannot be decompressed.
    """
    with _plain(file) as text:
        try:
            while lines := text.readlines(TOGETHER):
                yield lines
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UnreadableStream(f"the gzip data ends early or is damaged: {error}") from error


@contextmanager
def _plain(file: BinaryIO) -> Iterator[BinaryIO]:
    start = file.peek(4)[:4] if isinstance(file, BufferedReader) else b""
    if start.startswith(GZIP):
        with gzip.open(file) as text:
            yield cast(BinaryIO, text)
    elif start.startswith(ZSTD):
        with tempfile.TemporaryDirectory() as folder, _unpacked(file, Path(folder)).open("rb") as text:
            yield text
    else:
        yield file


def _unpacked(file: BinaryIO, folder: Path) -> Path:
    """The text of Zstandard frames as a file: the decompressor does not work piece by piece, but from file to file."""
    packed, text = folder / "packed", folder / "text"
    with packed.open("wb") as copy:
        shutil.copyfileobj(file, copy)
    try:
        cramjam.zstd.decompress_into(cramjam.File(str(packed)), cramjam.File(str(text)))
    except cramjam.DecompressionError as error:
        raise UnreadableStream(f"the Zstandard data ends early or is damaged: {error}") from error
    return text
