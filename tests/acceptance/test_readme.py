"""The README is true: its code runs, its commands exist, its catalog passes the lint."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from eventbus.catalog import Scenario
from eventbus.catalog.reading.arrivals import load_profile
from tests.acceptance.running import Running, data_dir, eventbus

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


class Block(NamedTuple):
    """A fenced block of the README."""

    language: str
    line: int
    text: str


def blocks(language: str) -> list[Block]:
    fences = re.finditer(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [Block(language, README.count("\n", 0, match.start()) + 1, match[1]) for match in fences]


def each(found: list[Block]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", found, ids=[f"line-{block.line}" for block in found])


PYTHON = blocks("python")
TESTS = [block for block in PYTHON if "def test_" in block.text]
SCRIPTS = [block for block in PYTHON if block not in TESTS]
PROFILES = [block for block in blocks("yaml") if block.text.startswith("hours:")]
SCENARIOS = [block for block in blocks("yaml") if "\nsimulation:" in block.text]
COMMANDS = [
    line
    for block in blocks("bash")
    for line in block.text.splitlines()
    if re.match(r"([A-Z_]+=\S* )*(make|eventbus) ", line)
]
QUERIES = [line[2:] for block in blocks("console") for line in block.text.splitlines() if line.startswith("$ ")]


class Mock(NamedTuple):
    """A mock that runs with complete chains stored."""

    url: str
    data: Path
    failed: str
    """Correlation id of a chain that failed."""


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    arguments = ("--port", "0", "--chain", "agent-execution", "--speed", "50", "--interval", "0.5", "--seed", "1")
    with data_dir() as data, Running("mock", "--data-dir", str(data), *arguments) as running:
        url = running.url()
        found = running.wait_for(r"execution\.failed\.v1 +(\S+)")
        yield Mock(url, data, found[1])
        assert running.stop() == 0


def environment(mock: Mock) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "EVENTBUS_DATA_DIR": str(mock.data)}


@each(TESTS)
def test_the_tests_pass(block: Block, tmp_path: Path) -> None:
    """A test shown to users passes in a folder that knows nothing of this project."""
    (tmp_path / "test_readme.py").write_text(block.text)
    command = [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


@each(SCRIPTS)
def test_the_scripts_run(block: Block, tmp_path: Path, mock: Mock) -> None:
    """A script shown to users runs to its end, beside a mock."""
    done = subprocess.run(
        [sys.executable, "-c", block.text],
        cwd=tmp_path,
        env=environment(mock),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("query", QUERIES)
def test_the_queries_answer(query: str, mock: Mock) -> None:
    """A query shown to users has an answer while a mock runs."""
    command = query.replace("http://127.0.0.1:3000", mock.url).replace("CORRELATION_ID", mock.failed)
    done = subprocess.run(
        shlex.split(command), env=environment(mock), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_exist(command: str) -> None:
    """Each `eventbus` command is known with its options, each `make` target is in the Makefile."""
    words = [word for word in shlex.split(command, comments=True) if not re.fullmatch(r"[A-Z_]+=\S*", word)]
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    if words[0] == "eventbus":
        shown = eventbus(words[1], "--help")
        assert shown.returncode == 0, shown.stderr
        for option in [word for word in words if word.startswith("--")]:
            assert option in shown.stdout


def test_the_event_posted_is_accepted(mock: Mock) -> None:
    """The body that the README posts fits the catalog."""
    [body] = re.findall(r"-d '(.*?)'", README, re.DOTALL)
    request = urllib.request.Request(
        f"{mock.url}/api/event-bus/events", body.encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status == 202
        assert json.load(answer)


@each(PROFILES)
def test_the_profile_is_clean(block: Block, tmp_path: Path) -> None:
    """The profile shown can be read."""
    path = tmp_path / "profile.yaml"
    path.write_text(block.text)
    assert load_profile(path).hours


@each(SCENARIOS)
def test_the_scenario_is_clean(block: Block, tmp_path: Path) -> None:
    """The scenario shown can be read, and so can each line that stands there as a comment."""
    path = tmp_path / "scenario.yaml"
    for text in (block.text, *re.findall(r"^# (\w+: .*)$", block.text, re.MULTILINE)):
        path.write_text(text)
        assert Scenario.load(path).name == "scenario"


@each([block for block in blocks("yaml") if block not in (*PROFILES, *SCENARIOS)])
def test_the_catalog_is_clean(block: Block, tmp_path: Path) -> None:
    """The catalog shown passes the lint."""
    path = tmp_path / "payment.yaml"
    path.write_text(block.text)
    done = eventbus("catalog", "lint", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_and_route_is_in_the_readme() -> None:
    """What exists is documented."""
    from eventbus.cli import COMMANDS as KNOWN

    for command in KNOWN:
        assert f"`eventbus {command}" in README or f"`{command}`" in README, command
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in targets:
        assert f"`{target}`" in README or f"make {target}" in README, target
