"""The exported documents are accepted by the tools they are made for: AsyncAPI's parser and a JSON Schema validator."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eventbus.catalog import Catalog, Role
from eventbus.catalog.export.asyncapi import asyncapi, example_event
from eventbus.catalog.export.jsonschema import catalog_schema
from tests.kafka.maven import cache_folder

HERE = Path(__file__).parent / "asyncapi"
CATALOG = Catalog.default()
READ = "omninode.vault.secret.read.completed.v1"

RunScript = Callable[[str, Any], Any]


@pytest.fixture(scope="session")
def run_script() -> RunScript:
    """Run one of the scripts with a JSON document as its input; its packages are installed once, in a cache."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js with npm is not installed: the documents cannot be read by their reference tools")
    home = _installed(npm)

    def run(script: str, document: Any) -> Any:
        done = subprocess.run(
            [node, str(home / script)], input=json.dumps(document), capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    return run


def _installed(npm: str) -> Path:
    files = sorted(file for file in HERE.iterdir() if file.is_file())
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    home = cache_folder() / f"documents-{digest}"
    if home.is_dir():
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="npm-") as work:
        folder = Path(work, "documents")
        folder.mkdir()
        for file in files:
            shutil.copy(file, folder)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"npm could not install the reference tools: {done.stderr.strip()[-500:]}")
        with contextlib.suppress(OSError):  # another run was faster: its folder is as good
            folder.rename(home)
    return home


@pytest.mark.parametrize("topics", ["domain", "event_type", "single"])
def test_the_asyncapi_parser_accepts_the_catalog(topics: str, run_script: RunScript) -> None:
    """No error, no warning, no hint, whatever the topics."""
    namers: dict[str, Callable[[str], str]] = {"event_type": str, "single": lambda _type: "omninode.events"}
    document = asyncapi(CATALOG, topic_of=namers[topics]) if topics in namers else asyncapi(CATALOG)
    assert run_script("parse.mjs", document) == {"version": "3.1.0", "diagnostics": []}


def test_the_asyncapi_parser_sees_a_broken_reference(run_script: RunScript) -> None:
    """It would have complained: a channel that is not there is an error."""
    document = copy.deepcopy(asyncapi(CATALOG))
    document["operations"][f"send.{READ}"]["channel"] = {"$ref": "#/channels/nowhere"}
    diagnostics = run_script("parse.mjs", document)["diagnostics"]
    assert "invalid-ref" in {diagnostic["code"] for diagnostic in diagnostics}


def test_the_headers_of_the_examples_fit(run_script: RunScript) -> None:
    """The parser does not hold examples against schemas, so a validator does; payloads are the next test's."""
    components = asyncapi(CATALOG)["components"]
    headers = [message["examples"][0]["headers"] for message in components["messages"].values()]
    broken = {**headers[0], "traceparent": "00-1-2-01"}
    errors = run_script("schema.mjs", {"schema": components["schemas"]["headers"], "instances": [*headers, broken]})
    assert errors[:-1] == [[] for _ in headers]
    assert errors[-1]


def test_the_json_schema_accepts_each_example_and_nothing_else(run_script: RunScript) -> None:
    """The schema of the whole catalog is valid 2020-12, takes every example, and refuses each of a set of changes."""
    examples = [_example(name) for name in CATALOG.events]
    completed = _example("omninode.agent.execution.completed.v1")
    wrong: list[dict[str, Any]] = [
        {**completed, "event_type": "omninode.agent.execution.finished.v1"},
        {**completed, "extra": 1},
        {**completed, "event_id": "7"},
        {**completed, "timestamp": "yesterday"},
        {**completed, "payload": {**completed["payload"], "status": "done"}},
        {**completed, "payload": {**completed["payload"], "duration_ms": -1}},
        {**completed, "payload": {**completed["payload"], "extra": 1}},
        {**completed, "payload": {**completed["payload"], "result": {"tokens": "many"}}},
        {name: value for name, value in completed.items() if name != "source"},
    ]
    errors = run_script("schema.mjs", {"schema": catalog_schema(CATALOG), "instances": examples + wrong})
    assert errors[: len(examples)] == [[] for _ in examples]
    assert all(errors[len(examples) :])


def _example(name: str) -> dict[str, Any]:
    return example_event(CATALOG.events[name], root=CATALOG.conformance.classify(name)[1] == Role.REQUESTED)
