"""Files that a command writes: complete, or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click


@contextmanager
def output_file(path: Path | None) -> Iterator[BinaryIO]:
    """A file that appears under its name once it is complete; stdout if there is no path, or it is `-`.

    A pipe or a device is written to as it is.

    Raises:
        click.FileError: it cannot be written.
    """
    if path is None or str(path) == "-":
        yield sys.stdout.buffer
        return
    if path.exists() and not path.is_file():
        with path.open("wb") as device:
            yield device
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("xb") as file:
            yield file
        partial.replace(path)
    except BrokenPipeError:  # stdout was closed while this file was open
        raise
    except OSError as error:
        raise click.FileError(str(path), hint=error.strerror) from error
    finally:
        partial.unlink(missing_ok=True)
