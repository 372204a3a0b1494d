"""The progress bar on stderr."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINES_PER_UPDATE = 1000


class ProgressBar:
    """A bar on stderr; nothing is shown where there is none."""

    def __init__(self, bar: Progress | None = None, task: TaskID | None = None) -> None:
        self._bar = bar
        self._task = task

    def advance(self, amount: float) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, amount)

    def move_to(self, completed: float) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=completed)

    def rename(self, title: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=title)


@contextmanager
def progress_bar(title: str, total: float | None, *, shown: bool | None = None) -> Iterator[ProgressBar]:
    """A bar that disappears at the end.

    Args:
        total: in any unit; None if it is unknown.
        shown: None means only if stderr is a terminal.
    """
    if not (sys.stderr.isatty() if shown is None else shown):
        yield ProgressBar()
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        yield ProgressBar(bar, bar.add_task(title, total=total))


@contextmanager
def lines_with_progress(file: BinaryIO, title: str) -> Iterator[Iterable[bytes]]:
    """The lines of a file, with a bar for the bytes read so far if the file has a size and stderr is a terminal."""
    size = file_size(file)
    if size is None or not sys.stderr.isatty():
        yield file
        return
    with progress_bar(title, size) as bar:
        yield _lines(file, bar)


def file_size(file: BinaryIO) -> int | None:
    """Bytes of a regular file; None for anything else, such as a pipe."""
    try:
        status = os.fstat(file.fileno())
    except OSError:  # an object in memory has no descriptor
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _lines(file: BinaryIO, bar: ProgressBar) -> Iterator[bytes]:
    position = 0
    for number, line in enumerate(file):
        position += len(line)
        if number % LINES_PER_UPDATE == 0:
            bar.move_to(position)
        yield line
    bar.move_to(position)
