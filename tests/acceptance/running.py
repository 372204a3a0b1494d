"""Runs `eventbus` as a user would: a process of its own, its output read line by line."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVENTBUS = (sys.executable, "-m", "eventbus")
READY = re.compile(r"^eventbus · (http://\S+)")


@contextmanager
def data_dir() -> Iterator[Path]:
    """A folder that the embedded PostgreSQL can use, also when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="eventbus-test-"))
    folder.chmod(0o755)
    try:
        yield folder / "data"
    finally:
        shutil.rmtree(folder)


def eventbus(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        [*EVENTBUS, *arguments], env=_environment(environment), capture_output=True, text=True, check=False, timeout=60
    )


class Running:
    """A command that runs until it is told to stop; everything it prints is kept."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()
        # under `nohup`, which the tests may run in, programs rightly ignore that their terminal hangs up
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self._process = subprocess.Popen(
            [*EVENTBUS, *arguments],
            env=_environment(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        signal.signal(signal.SIGHUP, before)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str | re.Pattern[str], timeout: float = 60) -> re.Match[str]:
        """The first match in a line, printed already or yet to come."""

        def found() -> re.Match[str] | None:
            return next((match for line in self.lines if (match := re.search(pattern, line))), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or self._process.poll() is not None, timeout)
            match = found()
        assert match, f"{pattern!r} was not printed:\n{self.output}"
        return match

    def url(self) -> str:
        """Where its HTTP server answers, once it does."""
        return self.wait_for(READY)[1]

    def stop(self, number: signal.Signals = signal.SIGINT, within: float = 15.0) -> int:
        """Tell it to end; the exit code. Three seconds are promised; a loaded machine may need more, a hang lasts."""
        self._process.send_signal(number)
        code = self._process.wait(within)
        self._reader.join()
        return code

    def wait(self, timeout: float = 60) -> int:
        """The exit code of a command that ends by itself."""
        code = self._process.wait(timeout)
        self._reader.join()
        return code

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()


OURS = ("KAFKA_", "DATABASE_", "EVENTBUS_", "APP_ENV", "ENABLE_MOCK_EVENTS")


def _environment(changes: dict[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**clean, "PYTHONUNBUFFERED": "1", **changes}
