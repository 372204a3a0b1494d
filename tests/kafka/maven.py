"""The jars of Apache Kafka and the Java that runs them, so that tests meet a real broker without Docker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

KAFKA_VERSION = "4.3.1"
JAVA_NEEDED = 17

POM = """\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>eventbus.tests</groupId>
  <artifactId>kafka-jars</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{kafka}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{kafka}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


class UnavailableError(Exception):
    """This machine cannot provide a broker; the message says what is missing."""


def java() -> Path:
    """The Java runtime: of JAVA_HOME, else of PATH.

    Raises:
        UnavailableError: none, or an older one than Kafka needs.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if found is None:
        raise UnavailableError(f"no Java found (neither JAVA_HOME nor PATH); Kafka needs Java {JAVA_NEEDED} or newer")
    answer = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = java_version(answer)
    if version < JAVA_NEEDED:
        raise UnavailableError(f"{found} is Java {version}; Kafka needs Java {JAVA_NEEDED} or newer")
    return Path(found)


def java_version(answer: str) -> int:
    """The major version in the words of `java -version`; 0 when there is none."""
    match = re.search(r'version "(?:1\.)?(\d+)', answer)
    return int(match[1]) if match else 0


def jars() -> Path:
    """The folder with Kafka's jars, resolved by Maven the first time (54 MB).

    Raises:
        UnavailableError: they are not there yet, and Maven is missing or fails.
    """
    return fetched(f"kafka-{KAFKA_VERSION}", _fetch_jars)


def fetched(name: str, fetch: Callable[[Path], None]) -> Path:
    """A folder of the cache.

    It is filled under another name: whoever sees it sees it complete, and two downloads cannot mix.

    Args:
        fetch: fills the folder `out` of the folder that it is given.

    Raises:
        UnavailableError: it is not there yet, and cannot be fetched.
    """
    folder = cache_folder() / name
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="download-") as work:
            fetch(Path(work))
            _settle(Path(work, "out"), folder)
    return folder


def run(*arguments: str) -> None:
    """Run Maven.

    Raises:
        UnavailableError: it is missing, or fails.
    """
    maven = shutil.which("mvn")
    if maven is None:
        raise UnavailableError(f"{cache_folder()} does not have it yet, and Maven (mvn) is not installed to fetch it")
    done = subprocess.run([maven, "-B", "-q", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"Maven could not fetch it:\n{(done.stdout + done.stderr)[-2000:]}")


def cache_folder() -> Path:
    """Where the platform keeps what can be fetched again, or EVENTBUS_CACHE."""
    if chosen := os.environ.get("EVENTBUS_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "eventbus-mock"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eventbus-mock"


def _fetch_jars(work: Path) -> None:
    pom = work / "pom.xml"
    pom.write_text(POM.format(kafka=KAFKA_VERSION))
    run("-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={work / 'out'}")


def _settle(output: Path, folder: Path) -> None:
    try:
        output.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster, and its copy is as good
            raise


def main() -> None:
    """Fetch what the tests need before them, whose time is limited; what cannot be had is for the tests to say."""
    from tests.kafka.apicurio import archive

    wanted = [archive] if os.environ.get("KAFKA_BOOTSTRAP_SERVERS") else [jars, archive]
    for fetch in wanted:
        try:
            print(f"{fetch()} is there")
        except UnavailableError as error:
            print(error, file=sys.stderr)


if __name__ == "__main__":
    main()
