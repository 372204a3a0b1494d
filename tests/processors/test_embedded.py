"""The embedded server keeps its data, is shared by processes, and stops with the last, however they end."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from eventbus.processors.errors import EmbeddedServerFailed, NoDatabase
from eventbus.processors.postgres import EmbeddedServer, ExternalServer, database, default_data_dir
from eventbus.processors.postgres.binaries import SYSTEM_USER
from tests.postgres import execute

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0

HOLD = """
import sys
from pathlib import Path
from eventbus.processors.postgres import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1])):
    print("up", flush=True)
    sys.stdin.read()
"""


class Holder:
    """Another process that uses the server until it leaves or is killed."""

    def __init__(self, data_dir: Path) -> None:
        command = [sys.executable, "-c", HOLD, str(data_dir)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"up\n"

    def leave(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def fetch(dsn: str, query: str) -> object:
    async def query_once() -> object:
        connection = await asyncpg.connect(dsn)
        value = await connection.fetchval(query)
        await connection.close()
        return value

    return asyncio.run(query_once())


def test_data_survives_a_restart(server: EmbeddedServer) -> None:
    """Stored data is there after a restart of the server."""
    with server:
        asyncio.run(execute(server.dsn, "CREATE TABLE kept AS SELECT 7 AS n"))
    assert not server.is_running()
    with server:
        assert fetch(server.dsn, "SELECT n FROM kept") == 7


def test_settings_reach_the_server(server: EmbeddedServer) -> None:
    """The server listens on its socket only, with the parameters of `SETTINGS`."""
    with server:
        assert fetch(server.dsn, "SHOW listen_addresses") == ""
        assert fetch(server.dsn, "SHOW max_wal_size") == "4GB"
        assert fetch(server.dsn, "SHOW timezone") == "UTC"


def test_last_process_stops_the_server(server: EmbeddedServer) -> None:
    """Two processes share one server, which stops when the last one leaves."""
    other = Holder(server.data_dir)
    with server:
        pid = server.pid()
        other.leave()
        assert server.is_running()
        assert server.pid() == pid
    assert not server.is_running()


def test_server_outlives_the_process_that_started_it(server: EmbeddedServer) -> None:
    """The process that started the server may leave first."""
    with server:
        other = Holder(server.data_dir)
    assert server.is_running()
    other.leave()
    assert not server.is_running()


def test_killed_process_does_not_count(server: EmbeddedServer) -> None:
    """A killed process does not keep the server running."""
    other = Holder(server.data_dir)
    with server:
        other.kill()
    assert not server.is_running()


def test_orphaned_server_is_reused(server: EmbeddedServer) -> None:
    """After a `kill -9` of its only process the server keeps running; the next process uses and stops it."""
    Holder(server.data_dir).kill()
    assert server.is_running()
    pid = server.pid()
    with server:
        assert server.pid() == pid
    assert not server.is_running()


def test_killed_server_is_restarted(server: EmbeddedServer) -> None:
    """After a `kill -9` of PostgreSQL, `start` recovers the committed data."""
    with server:
        asyncio.run(execute(server.dsn, "CREATE TABLE kept AS SELECT 7 AS n"))
        os.kill(server.pid(), signal.SIGKILL)
        server.start()
        assert fetch(server.dsn, "SELECT n FROM kept") == 7


def test_incomplete_data_directory_is_set_up_again(server: EmbeddedServer) -> None:
    """A data directory left incomplete by a killed process is set up again."""
    (server.cluster / "PG_VERSION").unlink()
    with server:
        assert fetch(server.dsn, "SELECT 1") == 1


def test_socket_of_a_long_path(server_dir: Path) -> None:
    """A data directory whose path is too long for a socket has its socket in a temporary directory."""
    server = EmbeddedServer(server_dir / ("x" * 120), settings={"fsync": "off"})
    assert server.socket_dir != server.data_dir
    with server:
        assert fetch(server.dsn, "SELECT 1") == 1
    shutil.rmtree(server.socket_dir)


def test_repr(server: EmbeddedServer) -> None:
    """The data directory, and whether the server runs."""
    assert repr(server) == f"<EmbeddedServer {server.data_dir} stopped>"
    with server:
        assert repr(server) == f"<EmbeddedServer {server.data_dir} running>"


def test_failure_shows_the_server_log(server_dir: Path) -> None:
    """When PostgreSQL does not start, the error has the end of its log."""
    with (
        pytest.raises(EmbeddedServerFailed, match="shared_buffers"),
        EmbeddedServer(server_dir, settings={"shared_buffers": "nonsense"}),
    ):
        pass
    with EmbeddedServer(server_dir):
        pass  # starts after the failure


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_root_does_not_change_permissions(server_dir: Path) -> None:
    """As root, a data directory that the server's user cannot enter is refused; its permissions stay."""
    server_dir.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerFailed, match=f"'{SYSTEM_USER}', who may not enter {server_dir}"):
        EmbeddedServer(server_dir / "data").start()
    assert server_dir.stat().st_mode & 0o777 == 0o700
    assert not (server_dir / "data").exists()


@pytest.mark.skipif(not AS_ROOT, reason="only root can change owners")
def test_root_does_not_change_other_owners(server_dir: Path) -> None:
    """As root, a data directory with other files is refused, and so is another user's symbolic link."""
    server_dir.mkdir()
    (server_dir / "thesis").touch()
    link = server_dir.with_name("link")
    link.symlink_to(server_dir / "empty")
    (server_dir / "empty").mkdir()
    os.chown(link, pwd.getpwnam("nobody").pw_uid, -1, follow_symlinks=False)
    for folder, reason in ((server_dir, "with other files"), (link, "owned by user")):
        with pytest.raises(EmbeddedServerFailed, match=reason):
            EmbeddedServer(folder).start()
    assert [path.stat().st_uid for path in (server_dir, server_dir / "empty")] == [0, 0]


@pytest.mark.skipif(not AS_ROOT, reason="only root can run a process as another user")
def test_normal_user(server_dir: Path) -> None:
    """The server runs for a normal user, in a data directory of that user."""
    nobody = pwd.getpwnam("nobody")
    try:
        subprocess.run([sys.executable, "-c", "import eventbus.processors"], user=nobody.pw_uid, cwd="/", check=True)
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("the user `nobody` may not enter this environment")
    script = (
        "import sys; from pathlib import Path; from eventbus.processors.postgres import EmbeddedServer\n"
        "with EmbeddedServer(Path(sys.argv[1])) as server: print(server.is_running())"
    )
    command = [sys.executable, "-c", script, str(server_dir / "data")]
    server_dir.mkdir()
    os.chown(server_dir, nobody.pw_uid, nobody.pw_gid)
    done = subprocess.run(
        command, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], cwd="/", check=False, capture_output=True
    )
    assert done.stdout == b"True\n", done.stderr
    assert (server_dir / "data").stat().st_uid == nobody.pw_uid


def test_precedence_of_database_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In this order: `database_url`, `data_dir`, `DATABASE_URL`, the default data directory."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://from/environment")
    server = database(tmp_path, database_url="postgresql://given/")
    assert isinstance(server, ExternalServer)
    assert server.dsn == "postgresql://given/"
    assert database(tmp_path).dsn == EmbeddedServer(tmp_path).dsn
    assert database().dsn == "postgresql://from/environment"
    monkeypatch.delenv("DATABASE_URL")
    assert database().dsn == EmbeddedServer(default_data_dir()).dsn


def test_database_without_create(tmp_path: Path) -> None:
    """With `create=False`, a missing server is not set up."""
    with pytest.raises(NoDatabase, match="nothing has been stored yet"):
        database(tmp_path / "data", create=False)
    assert not (tmp_path / "data").exists()
