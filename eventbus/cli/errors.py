"""Errors that a command reports in one line, and the exit codes that go with them."""

from __future__ import annotations

import errno

import click

WRONG_USAGE = 2
"""Exit code: the arguments, the environment or a catalog file are wrong."""
INTERRUPTED = 130
"""Exit code: Ctrl-C or SIGTERM ended the program before it was done."""

ENVIRONMENT_ERRNOS = {
    errno.EACCES, errno.EBUSY, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EPERM, errno.EROFS,
}  # fmt: skip
"""Errors that come from the machine, such as a full disk, and not from a bug."""


class Failure(click.ClickException):
    """Ends the program with one line on stderr and an exit code; a stack trace is for bugs only."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def failure(error: Exception) -> Failure | None:
    """The one-line form of an expected error; None for anything else, which is a bug."""
    from eventbus.catalog import CatalogError
    from eventbus.chains import ChainError
    from eventbus.errors import EventBusError
    from eventbus.processors.errors import ProcessorError

    if isinstance(error, CatalogError):
        return Failure(str(error), exit_code=WRONG_USAGE)
    if isinstance(error, EventBusError | ChainError | ProcessorError):
        return Failure(str(error))
    if isinstance(error, OSError) and error.errno in ENVIRONMENT_ERRNOS:
        return Failure(str(error))
    return None
