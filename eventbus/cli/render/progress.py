"""A bar on a terminal while a file is read."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

TOGETHER = 1000
"""Lines between two movements of the bar."""


@contextmanager
def reading(file: BinaryIO, title: str) -> Iterator[Iterable[bytes]]:
    """The lines of a file; on a terminal, a bar shows how many of its bytes are read."""
    if not (sys.stderr.isatty() and _is_regular(file)):
        yield file
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        yield _lines(file, bar, bar.add_task(title, total=os.fstat(file.fileno()).st_size))


def _lines(file: BinaryIO, bar: Progress, task: TaskID) -> Iterator[bytes]:
    read = 0
    for number, line in enumerate(file):
        read += len(line)
        if number % TOGETHER == 0:
            bar.update(task, completed=read)
        yield line
    bar.update(task, completed=read)


def _is_regular(file: BinaryIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except OSError:  # as a test's, which is none
        return False
