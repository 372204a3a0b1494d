"""The embedded server keeps its data, is shared by processes, and ends with the last of them, however they end."""

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
    """Another process that uses the server until it is told to leave, or killed."""

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
    async def ask() -> object:
        connection = await asyncpg.connect(dsn)
        answer = await connection.fetchval(query)
        await connection.close()
        return answer

    return asyncio.run(ask())


def test_data_survives_a_restart(server: EmbeddedServer) -> None:
    """What was stored is there when the server is started again."""
    with server:
        asyncio.run(execute(server.dsn, "CREATE TABLE kept AS SELECT 7 AS n"))
    assert not server.is_running()
    with server:
        assert fetch(server.dsn, "SELECT n FROM kept") == 7


def test_settings_reach_the_server(server: EmbeddedServer) -> None:
    """It speaks through its socket alone, and has room for a busy writer's log."""
    with server:
        assert fetch(server.dsn, "SHOW listen_addresses") == ""
        assert fetch(server.dsn, "SHOW max_wal_size") == "4GB"
        assert fetch(server.dsn, "SHOW timezone") == "UTC"


def test_last_process_stops_it(server: EmbeddedServer) -> None:
    """Two processes share one server; it stays while either is there, and stops with the last."""
    other = Holder(server.data_dir)
    with server:
        pid = server.pid()
        other.leave()
        assert server.is_running()
        assert server.pid() == pid
    assert not server.is_running()


def test_other_process_keeps_it(server: EmbeddedServer) -> None:
    """The process that started the server may leave first."""
    with server:
        other = Holder(server.data_dir)
    assert server.is_running()
    other.leave()
    assert not server.is_running()


def test_killed_process_does_not_count(server: EmbeddedServer) -> None:
    """A process that was killed no longer holds the server: the one that leaves last stops it."""
    other = Holder(server.data_dir)
    with server:
        other.kill()
    assert not server.is_running()


def test_server_left_by_a_killed_process_is_taken_over(server: EmbeddedServer) -> None:
    """After `kill -9` of the only process the server runs on; the next one finds it, and stops it in the end."""
    Holder(server.data_dir).kill()
    assert server.is_running()
    pid = server.pid()
    with server:
        assert server.pid() == pid
    assert not server.is_running()


def test_killed_server_comes_back(server: EmbeddedServer) -> None:
    """After `kill -9` of PostgreSQL, `start` recovers it, with what was committed."""
    with server:
        asyncio.run(execute(server.dsn, "CREATE TABLE kept AS SELECT 7 AS n"))
        os.kill(server.pid(), signal.SIGKILL)
        server.start()
        assert fetch(server.dsn, "SELECT n FROM kept") == 7


def test_half_made_data_is_made_again(server: EmbeddedServer) -> None:
    """A process killed while it set up the data directory does not spoil it."""
    (server.cluster / "PG_VERSION").unlink()
    with server:
        assert fetch(server.dsn, "SELECT 1") == 1


def test_long_path_has_its_socket_elsewhere(server_dir: Path) -> None:
    """A socket's path is limited by the system; a data directory's is not."""
    server = EmbeddedServer(server_dir / ("x" * 120), settings={"fsync": "off"})
    assert server.socket_dir != server.data_dir
    with server:
        assert fetch(server.dsn, "SELECT 1") == 1
    shutil.rmtree(server.socket_dir)


def test_repr_tells_the_state(server: EmbeddedServer) -> None:
    """Where it is, and whether it runs."""
    assert repr(server) == f"<EmbeddedServer {server.data_dir} stopped>"
    with server:
        assert repr(server) == f"<EmbeddedServer {server.data_dir} running>"


def test_failure_shows_the_servers_own_words(server_dir: Path) -> None:
    """When PostgreSQL refuses to start, its log tells why."""
    with (
        pytest.raises(EmbeddedServerFailed, match="shared_buffers"),
        EmbeddedServer(server_dir, settings={"shared_buffers": "nonsense"}),
    ):
        pass
    with EmbeddedServer(server_dir):
        pass  # nothing is left in the way


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_root_does_not_open_closed_folders(server_dir: Path) -> None:
    """As root the server runs as a user of its own; a data directory it cannot reach is refused, not opened to all."""
    server_dir.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerFailed, match=f"'{SYSTEM_USER}', who may not enter {server_dir}"):
        EmbeddedServer(server_dir / "data").start()
    assert server_dir.stat().st_mode & 0o777 == 0o700
    assert not (server_dir / "data").exists()


@pytest.mark.skipif(not AS_ROOT, reason="only root gives folders away")
def test_root_gives_away_no_folder_of_others(server_dir: Path) -> None:
    """As root, a folder with other files is refused as a data directory, and so is a link that another user laid."""
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
    """A normal user needs no help from root, and cannot use another user's data directory."""
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


def test_database_prefers_what_is_said_to_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An address given, then a data directory given, then DATABASE_URL, then the platform's data directory."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://from/environment")
    given = database(tmp_path, database_url="postgresql://given/")
    assert isinstance(given, ExternalServer)
    assert given.dsn == "postgresql://given/"
    assert database(tmp_path).dsn == EmbeddedServer(tmp_path).dsn
    assert database().dsn == "postgresql://from/environment"
    monkeypatch.delenv("DATABASE_URL")
    assert database().dsn == EmbeddedServer(default_data_dir()).dsn


def test_database_that_never_was(tmp_path: Path) -> None:
    """With `create=False` nothing is set up: there is nothing to read."""
    with pytest.raises(NoDatabase, match="nothing has been stored yet"):
        database(tmp_path / "data", create=False)
    assert not (tmp_path / "data").exists()
