"""A real schema registry as a child process: Apicurio, in memory, which speaks Confluent's API."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

from tests.kafka import maven
from tests.kafka.server import HOST, StartError, free_port, spawn

VERSION = "2.5.11.Final"
ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
API = "/apis/ccompat/v7"


class Apicurio:
    """A registry on a free port.

    Args:
        timeout: seconds it may take to start.

    Raises:
        maven.UnavailableError: no Java, no archive (from `start`).
        StartError: it ended or did not answer in time (from `start`).
    """

    def __init__(self, *, timeout: float = 90.0) -> None:
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        self._log = Path(tempfile.mkdtemp(prefix="eventbus-registry-"), "registry.log")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._log.parent, ignore_errors=True)

    @property
    def url(self) -> str:
        """The base of Confluent's API."""
        return f"http://{HOST}:{self._port}{API}"

    def start(self) -> None:
        """Bring it up and wait until it serves."""
        jar = archive() / f"apicurio-registry-app-{VERSION}-runner.jar"
        settings = [f"-Dquarkus.http.host={HOST}", f"-Dquarkus.http.port={self._port}"]
        with self._log.open("ab") as log:
            java = [str(maven.java()), "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
            self._process = spawn([*java, *settings, "-jar", str(jar)], log)
        deadline = time.monotonic() + self._timeout
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise StartError(f"the registry is not ready:\n{self._log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/subjects", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


def archive() -> Path:
    """The folder with the registry, fetched by Maven the first time (140 MB unpacked).

    Raises:
        maven.UnavailableError: it is not there yet, and Maven is missing or fails.
    """
    return maven.fetched(f"apicurio-{VERSION}", _fetch)


def _fetch(work: Path) -> None:
    maven.run("dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={work / 'archive'}")
    (packed,) = (work / "archive").iterdir()
    with tarfile.open(packed) as tar:
        tar.extractall(work / "out", filter="data")
