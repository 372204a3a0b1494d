"""One real Kafka broker as a child process: a single KRaft node in a temporary directory, gone when we are."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.kafka import maven
from tests.kafka.properties import LISTENERS, Ports, make_certificate, scram_credentials, server_properties

HOST = "127.0.0.1"
CLUSTER_ID = "ZXZlbnRidXMtdGVzdHMtMQ"  # "eventbus-tests-1"; clusters never meet, so one name is enough
START_ATTEMPTS = 3
READY = "Kafka Server started"
JVM = ("-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Halves the start: most of it is compiling code that a test broker runs a few times."""


class StartError(Exception):
    """The broker did not come up; the message ends with the last lines of its log."""


class KafkaServer:
    """A broker with four doors: plain, SASL (PLAIN and SCRAM), TLS, and SASL over TLS (see `properties`).

    Args:
        port: of the plain listener; 0 takes a free one.
        timeout: seconds it may take to start.

    Raises:
        maven.Unavailable: no Java, no jars (from `start`).
        StartError: it ended or said nothing in time (from `start`).
    """

    def __init__(self, *, port: int = 0, timeout: float = 60.0) -> None:
        self._port = port
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._ports: Ports = {}

    def __repr__(self) -> str:
        state = f"at {self.bootstrap}" if self._process else "stopped"
        return f"<KafkaServer {state}>"

    def __enter__(self) -> Self:
        if self._process is None:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """Address of the plain listener."""
        return self.address("PLAINTEXT")

    def address(self, listener: str) -> str:
        """Address of a listener by its security protocol: PLAINTEXT, SASL_PLAINTEXT, SSL or SASL_SSL."""
        return f"{HOST}:{self._ports[listener]}"

    @property
    def folder(self) -> Path:
        """Its temporary directory: data, log (`kafka.log`) and certificate (`ca.pem`)."""
        assert self._folder is not None, "start it first"
        return self._folder

    @property
    def cafile(self) -> Path:
        """The certificate that its TLS listeners can be verified with."""
        return self.folder / "ca.pem"

    @property
    def pid(self) -> int:
        assert self._process is not None, "start it first"
        return self._process.pid

    def start(self) -> None:
        """Bring it up and wait until it serves. Another process may grab a free port first: then try others."""
        java = java_command()
        for attempt in range(START_ATTEMPTS):
            self._folder = Path(tempfile.mkdtemp(prefix="eventbus-kafka-"))
            self._ports = _free_ports(self._port)
            try:
                return self._launch(java)
            except BaseException as error:
                taken = "Address already in use" in str(error) and not self._port
                self.stop()
                if not taken or attempt == START_ATTEMPTS - 1:
                    raise
        return None

    def stop(self) -> None:
        """End it and remove its directory. The data is not worth a graceful goodbye."""
        self.kill()
        self._process = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL), keeping the directory."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def allow(self, user: str, operation: str, *, topic: str) -> None:
        """Grant a right on a topic (an ACL)."""
        grant = ["--add", "--allow-principal", f"User:{user}", "--operation", operation, "--topic", topic]
        tool = ["org.apache.kafka.tools.AclCommand", "--bootstrap-server", self.bootstrap]
        subprocess.run([*java_command(), *tool, *grant], capture_output=True, check=True)

    def freeze(self) -> None:
        """Let it keep its connections and answer nothing (SIGSTOP) until `thaw`."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)  # until it has stopped

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _launch(self, java: list[str]) -> None:
        make_certificate(self.folder)
        settings = self.folder / "server.properties"
        settings.write_text(server_properties(self.folder, self._ports, HOST))
        with (self.folder / "kafka.log").open("ab") as log:
            tool = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings), *scram_credentials()]
            if subprocess.run([*java, *tool], stdout=log, stderr=log, check=False).returncode:
                raise StartError(f"Kafka's storage could not be formatted:\n{self._log_tail()}")
            self._process = spawn([*_quiet(java), "kafka.Kafka", str(settings)], log)
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._timeout
        assert self._process is not None
        while READY not in self._log():
            if self._process.poll() is not None:
                raise StartError(f"Kafka ended with code {self._process.returncode}:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"Kafka was not ready after {self._timeout:g} s:\n{self._log_tail()}")
            time.sleep(0.05)

    def _log(self) -> str:
        return (self.folder / "kafka.log").read_text(errors="replace")

    def _log_tail(self) -> str:
        return "\n".join(self._log().splitlines()[-30:])


def java_command() -> list[str]:
    """Java with Kafka's classes; the name of one of them comes next."""
    return [str(maven.java()), *JVM, "-cp", f"{maven.jars()}{os.sep}*"]


def _quiet(java: list[str]) -> list[str]:
    """Log warnings only, and the one line that says that it is ready."""
    simple = "-Dorg.slf4j.simpleLogger"
    return [*java, f"{simple}.defaultLogLevel=warn", f"{simple}.log.kafka.server.KafkaRaftServer=info"]


def spawn(command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """A child in a session of its own (Ctrl-C is for us), which on Linux the kernel ends when we die."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  one system call, no locks
    )


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    assert _libc is not None
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])


def _free_ports(plain: int) -> Ports:
    """A free port for each listener; all are held open together, so that they differ."""
    sockets = [socket.socket() for _ in LISTENERS]
    try:
        for free in sockets:
            free.bind((HOST, 0))
        ports = dict(zip(LISTENERS, (free.getsockname()[1] for free in sockets), strict=True))
    finally:
        for free in sockets:
            free.close()
    return {**ports, "PLAINTEXT": plain or ports["PLAINTEXT"]}
