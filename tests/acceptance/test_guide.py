"""The manual is true: every example of the README and of the guide runs, and what exists is documented."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from click.testing import CliRunner
from pydantic import AliasChoices

from eventbus.catalog import Catalog, Scenario
from eventbus.catalog.model import FAULT_KINDS
from eventbus.catalog.reading.arrivals import PROFILE, load_profile
from eventbus.catalog.reading.chains import CHAIN, DELAYS, STATE, TRANSITION, VARIABLE
from eventbus.catalog.reading.events import EVENT, FIELD
from eventbus.catalog.reading.load import FILE
from eventbus.catalog.reading.scenario import ADVANCED, FAULT, PHASE, SIMULATION
from eventbus.cli import COMMANDS, cli
from eventbus.event import Event
from eventbus.settings import Settings
from tests.acceptance.manual import FILES, PAGES, README, ROOT, Example, Page, commands, page
from tests.acceptance.running import Running, data_dir

pytestmark = pytest.mark.timeout(300)  # a page has up to a dozen commands

NOT_RUN = {
    "needs Docker": 1,
    "installs packages": 2,
    "reads a store that holds one run alone": 1,
}
"""Why blocks are not run, and how many there are of each reason."""

ENDLESS = {"mock", "serve", "process"}
"""Commands that run until they are stopped: their options are parsed only."""

SCENARIO_KEYS = {"simulation", "event_probabilities", "user_behavior", "phases", "faults", "arrivals"}


class Mock(NamedTuple):
    """A mock that runs with complete chains stored."""

    url: str
    data: Path
    failed: str
    """Correlation id of a chain that failed."""


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    arguments = ("--port", "0", "--chain", "agent-execution", "--speed", "50", "--initial-chains", "100")
    with data_dir() as data, Running("mock", "--data-dir", str(data), *arguments, "--interval", "900") as running:
        url = running.url()
        yield Mock(url, data, failed_chain(url))
        assert running.stop() == 0


def failed_chain(url: str) -> str:
    """The correlation id of a chain that has failed, as soon as one is stored."""
    query = f"{url}/api/event-bus/events?event_type=omninode.agent.execution.failed.v1&limit=1"
    for _ in range(600):
        with urllib.request.urlopen(query, timeout=60) as answer:
            for event in json.load(answer)["events"]:
                return str(event["correlation_id"])
        time.sleep(0.1)
    raise AssertionError("no chain has failed")


@pytest.fixture
def folder(tmp_path: Path, mock: Mock, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory of the examples: every file that the manual shows, and what it says you have."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENTBUS_DATA_DIR", str(mock.data))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    schema = {"title": "OrderPlaced", "properties": {"order_id": {"type": "string", "format": "uuid"}}}
    (tmp_path / "order-placed.schema.json").write_text(json.dumps(schema))
    return tmp_path


@pytest.mark.parametrize("shown", PAGES, ids=[page.name for page in PAGES])
def test_the_examples_of_a_page_work(shown: Page, folder: Path, mock: Mock) -> None:
    """One after the other, in one folder: what an example writes, the next may read."""
    for example in shown.examples:
        try:
            run(example, folder, mock)
        except Exception as error:
            raise AssertionError(f"{example.place} does not work:\n{example.text}") from error


def run(example: Example, folder: Path, mock: Mock) -> None:
    match example.language:
        case "bash" | "console":
            for command in commands(example):
                output = run_command(command, mock) if example.runs else parse(command)
                if example.language == "console":
                    assert_output(example, command, output)
        case "python" if "def test_" not in example.text and example.runs:
            done = subprocess.run(
                [sys.executable, "-c", example.text],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=100,
            )
            assert done.returncode == 0, done.stderr
        case "yaml" if example.runs:
            check_yaml(example, folder)
        case "json":
            for line in example.text.splitlines():
                check_event(json.loads(line))
        case language:
            assert language in {"text", "python", "yaml", "toml"}


def run_command(command: str, mock: Mock) -> str:
    """Run a command of the manual beside the mock; its output."""
    command = re.sub(r"http://127\.0\.0\.1:300[01]", mock.url, command).replace("CORRELATION_ID", mock.failed)
    words = shlex.split(command, comments=True)
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        del words[0]
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words[1]
        return ""
    if words[0] == "eventbus" and (words[1] in ENDLESS or needs_kafka(words)):
        return parse(command)
    if words[0] == "eventbus" and not set(words) & {"|", ">", "<"}:
        result = CliRunner().invoke(cli, words[1:])
        assert result.exit_code == 0, f"{command}\n{result.output}"
        return result.stdout
    command = command.replace("curl ", "curl --fail-with-body ")  # an answer of 4xx or 5xx is a failure
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert '"verdict":"invalid"' not in done.stdout, f"{command}\n{done.stdout}"  # 202 if any event was accepted
    return done.stdout


def needs_kafka(words: list[str]) -> bool:
    """Whether a command talks to a broker or a schema registry."""
    return (
        bool({"--bootstrap-servers", "--topic", "--schema-registry", "--security-protocol"} & set(words))
        or (words[1] == "stream" and "--to" not in words)
        or "kafka" in words
    )


def parse(command: str) -> str:
    """Parse what follows `eventbus` as its command would: every option exists, and every value is accepted."""
    words = shlex.split(command, comments=True)
    if "eventbus" not in words:
        return ""
    words = words[words.index("eventbus") + 1 :]
    name = "eventbus"
    target: click.Command = cli
    while isinstance(target, click.Group):
        name = words.pop(0)
        inner = target.get_command(click.Context(target), name)
        assert inner is not None, name
        target = inner
    with target.make_context(name, words):
        pass
    return ""


def assert_output(example: Example, command: str, output: str) -> None:
    """The lines shown under a command are those it prints; `…` stands for any number of lines, or parts of a line."""
    shown = example.text.partition(f"$ {command}\n")[2].partition("\n$ ")[0].rstrip()
    if shown:
        pattern = re.escape(shown).replace("…", ".*")
        text = "\n".join(line.rstrip() for line in output.splitlines())
        assert re.fullmatch(pattern, text, re.DOTALL), f"{command} prints:\n{text}\nshown is:\n{shown}"


def check_yaml(example: Example, folder: Path) -> None:
    """A profile, a scenario or a catalog, by its keys."""
    path = folder / (example.file or "example.yaml")
    path.write_text(example.text)
    keys = set(re.findall(r"^(\w+):", example.text, re.MULTILINE))
    if "hours" in keys:
        assert load_profile(path).hours
    elif keys & SCENARIO_KEYS:
        # a line of a scenario that stands there as a comment is an alternative: it can be read as well
        for text in (*re.findall(r"^# (\w+: .*)$", example.text, re.MULTILINE), example.text):
            path.write_text(text)
            assert Scenario.load(path).name
    else:
        result = CliRunner().invoke(cli, ["catalog", "lint", str(path)])
        assert result.exit_code == 0, result.output


def check_event(document: object) -> None:
    """A whole event fits the catalog; any other JSON is just JSON."""
    if isinstance(document, dict) and {"event_id", "payload"} <= document.keys():
        event = Event.from_dict(document)
        assert not Catalog.default().validate(event.event_type, event.payload)


def test_the_tests_shown_pass(tmp_path: Path) -> None:
    """A test shown to users passes in a folder with the files and the configuration shown, and nothing else."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    for shown in PAGES:
        for example in shown.examples:
            if example.language == "python" and "def test_" in example.text:
                name = f"test_{shown.name.removesuffix('.md').replace('-', '_')}_{example.line}.py"
                (tmp_path / name).write_text(example.text)
            elif example.language == "toml":
                (tmp_path / "pyproject.toml").write_text(example.text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_examples_that_are_not_run_say_why() -> None:
    """Each has one of few reasons, so that none slips out unseen."""
    reasons = [
        example.note.removeprefix("not run: ") for page in PAGES for example in page.examples if not example.runs
    ]
    assert {reason: reasons.count(reason) for reason in reasons} == NOT_RUN


def test_links_lead_somewhere() -> None:
    """Links between pages, and to headings, have a target; every other link is absolute."""
    for shown in PAGES:
        for target in re.findall(r"\]\(([^)]+)\)", re.sub(r"```.*?```", "", shown.text, flags=re.DOTALL)):
            if target.startswith("https://"):
                continue
            name, _, anchor = target.partition("#")
            titles = re.findall(r"^#+ (.*)$", (page(name) if name else shown).text, re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert not anchor or anchor in anchors, f"{shown.name}: {target}"


def test_the_readme_is_short_and_needs_no_file_beside_it() -> None:
    """It is the description of the package as well, where relative links and pictures lead nowhere."""
    assert README.text.count("\n") <= 300
    links = re.findall(r"\]\(([^)]*)\)|(?:src|href)=\"([^\"]*)\"", README.text)
    assert all((markdown or html).startswith("https://") for markdown, html in links)


def test_every_command_and_target_is_documented() -> None:
    """Commands with their subcommands, and the targets of the Makefile."""
    text = page("commands.md").text
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        for inner in command.commands if isinstance(command, click.Group) else [""]:
            assert f"`eventbus {name} {inner}".rstrip() in text, name
    for target in re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE):
        assert f"`make {target}`" in text, target


def test_every_variable_of_the_environment_is_documented() -> None:
    """The settings of the program and of the worker."""
    text = page("settings.md").text
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = alias.choices[0] if isinstance(alias, AliasChoices) else f"EVENTBUS_{name.upper()}"
        assert f"`{variable}`" in text, variable


def test_every_route_is_documented() -> None:
    """Paths of the OpenAPI document, and the WebSocket."""
    text = page("http.md").text
    source = "".join(file.read_text() for file in (ROOT / "eventbus" / "api").rglob("*.py"))
    paths = set(re.findall(r'"(/(?:api|ws|health|metrics)[\w/{}.-]*)"', source))
    assert len(paths) >= 10
    for path in paths:
        assert f"{path}`" in text, path


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("catalog.md", FILE),
        ("chains.md", (*CHAIN, *STATE, *TRANSITION, *DELAYS)),
        ("values.md", (*VARIABLE, *EVENT[3:], *FIELD)),
        ("arrivals.md", PROFILE[1:]),
        ("scenarios.md", (*SIMULATION, *ADVANCED, *FAULT, *PHASE)),
        ("faults.md", tuple(FAULT_KINDS)),
        ("scenarios.md", tuple(Scenario.names())),
    ],
    ids=["catalog", "chains", "values", "profile", "scenario", "faults", "scenarios"],
)
def test_every_key_of_a_file_is_documented(name: str, keys: tuple[str, ...]) -> None:
    """On the page about it: in a table, or in an example."""
    text = page(name).text
    for key in keys:
        assert re.search(rf"(?<![\w-]){key}(?![\w-])", text), key
