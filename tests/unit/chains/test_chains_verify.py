"""`verify`: sound runs pass, and whatever is wrong with a stream is named."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog, Chain, Fixed, LogNormal, Scenario
from eventbus.chains import ChainGenerator
from eventbus.chains.errors import InvalidLedger
from eventbus.chains.faults import KINDS, Fault
from eventbus.chains.verification import Report, verify
from eventbus.cli import cli
from tests.unit.chains.catalogs import catalog_of, catalogs, chain, state, way

GOLDEN = Path(__file__).parents[2] / "golden" / "generator_catalog.yaml"
EVERY_CHAIN = Catalog.default().with_weights({"compliance-validation": 15, "pattern-discovery": 15})
ORDERS = Path(__file__).with_name("orders.yaml")
TREES = Catalog.load(ORDERS).only("order", "vault-read")
CATALOGS = {
    "default": Catalog.default(),
    "every": EVERY_CHAIN,
    "golden": Catalog.load(GOLDEN, extend=False),
    "trees": TREES,
}

SIGNS = {
    "drop": "paths",
    "missing-started": "paths",
    "tombstone": "readable",
    "poison": "readable",
    "corrupt": "readable",
    "truncate": "readable",
    "schema": "schema",
    "wrong-tenant": "tenants",
    "orphan-causation": "causality",
    "completed-before-started": "causality",
    "clock-skew": "clocks",
    "changed-duplicate": "identity",
    "duplicate": "identity",
    "late": "order",
    "reorder": "order",
}
"""The check that fails, for each kind of fault."""


def made(
    *faults: Fault, catalog: Catalog | None = None, chains: int = 600, seed: int = 5
) -> tuple[list[bytes], list[bytes]]:
    """The lines of a run, and those of its ledger."""
    generator, book = ChainGenerator(catalog, seed=seed), io.BytesIO()
    stage = generator.injector(faults, book)
    lines = [line for block in stage.blocks(generator.blocks(chains=chains)) for line in block.lines()]
    return lines, book.getvalue().splitlines()


def failed(report: Report) -> set[str]:
    return {check.name for check in report.checks if not check.passed}


def sentences(report: Report, name: str) -> str:
    return "\n".join(finding.sentence for check in report.checks if check.name == name for finding in check.findings)


@pytest.mark.parametrize("catalog", CATALOGS.values(), ids=CATALOGS)
@pytest.mark.parametrize("seed", range(4))
def test_sound_runs_pass(catalog: Catalog, seed: int) -> None:
    """A clean run passes every check, and each one had something to look at."""
    lines, ledger = made(catalog=catalog, chains=2000, seed=seed)
    report = verify(lines, catalog, ledger=ledger, significance=1e-6)
    assert failed(report) == set()
    assert report.passed
    assert report.faults == {}
    assert all(check.tested for check in report.checks)
    assert (report.lines, report.chains) == (len(lines), 2000)


@settings(deadline=None, max_examples=30)
@given(catalog=catalogs(), seed=st.integers(0, 99))
def test_sound_runs_of_any_catalog_pass(catalog: Catalog, seed: int) -> None:
    """Loops, detours, step limits and ways of no weight are no faults."""
    bare = replace(catalog, events={name: replace(event, payload=()) for name, event in catalog.events.items()})
    lines, _ = made(catalog=bare, chains=60, seed=seed)
    assert failed(verify(lines, bare, significance=1e-9)) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_named(kind: str) -> None:
    """A stream with faults of one kind fails where it should, and the kind is named, with and without the ledger."""
    lines, ledger = made(Fault(kind=kind, rate=0.2 if kind == "missing-started" else 0.02))
    report = verify(lines, Catalog.default())
    assert SIGNS[kind] in failed(report)
    assert KINDS[kind].looks_like in report.faults
    told = verify(lines, Catalog.default(), ledger=ledger)
    injected = sum(b'"record":"fault"' in line for line in ledger)
    assert told.ledger == {kind: (injected, injected)}
    assert told.faults == {kind: injected}
    assert failed(told) == failed(report)
    assert not told.passed
    assert {finding.fault for check in told.checks for finding in check.findings} - {None} == {kind}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_named_in_trees(kind: str) -> None:
    """Forks, retries and caused chains hide no fault, and none is taken for another."""
    lines, ledger = made(Fault(kind=kind, rate=0.02), catalog=TREES)
    told = verify(lines, TREES, ledger=ledger)
    injected = sum(b'"record":"fault"' in line for line in ledger)
    assert injected
    assert told.ledger == {kind: (injected, injected)}
    assert SIGNS[kind] in failed(told)
    assert sentences(told, "ledger") == ""


def test_what_looks_alike_is_told_apart_by_the_ledger() -> None:
    """Of truncated and corrupt events beside each other, each is found, and one that is missing is missed."""
    lines, ledger = made(Fault(kind="corrupt", rate=0.05), Fault(kind="truncate", rate=0.05))
    counts = json.loads(ledger[-1])["faults"]
    report = verify(lines, Catalog.default(), ledger=ledger)
    assert sentences(report, "ledger") == ""
    assert report.ledger == {kind: (count, count) for kind, count in counts.items()}
    assert counts.keys() == {"corrupt", "truncate"}
    broken = [number for number, line in enumerate(lines) if not line.endswith(b"}}")]
    tampered = verify([*lines[: broken[0]], *lines[broken[0] + 1 :]], Catalog.default(), ledger=ledger)
    assert "1 line missing" in sentences(tampered, "ledger")


faults = st.lists(
    st.builds(lambda kind, rate: Fault(kind=kind, rate=rate), st.sampled_from(list(KINDS)), st.floats(0, 0.3)),
    max_size=6,
)


@settings(deadline=None, max_examples=25)
@given(wanted=faults, seed=st.integers(0, 99))
def test_the_ledger_explains_all(wanted: list[Fault], seed: int) -> None:
    """Whatever the mix, everything in the ledger is found, and nothing else."""
    lines, ledger = made(*wanted, chains=120, seed=seed)
    report = verify(lines, Catalog.default(), ledger=ledger, significance=1e-9)
    assert sentences(report, "ledger") == ""
    assert report.ledger is not None
    assert all(listed == found for listed, found in report.ledger.values())
    assert Counter({kind: n for kind, (n, _) in report.ledger.items()}) == json.loads(ledger[-1])["faults"]


def edited(line: bytes, **changes: Any) -> bytes:
    return orjson.dumps({**orjson.loads(line), **changes})


@pytest.mark.parametrize(
    ("place", "new", "message"),
    [
        (slice(50, 51), lambda line: [], "it should be there 1 times, and is 0 times"),
        (slice(50, 51), lambda line: [line, line], "it should be there 1 times, and is 2 times"),
        (slice(50, 51), lambda line: [b"null"], "tombstone: 1 line not in the ledger"),
        (slice(50, 51), lambda line: [edited(line, tenant_id="other")], "no fault explains"),
        (slice(50, 51), lambda line: [edited(line, payload={})], "no fault explains"),
        (slice(50, 51), lambda line: [edited(line, timestamp="2026-01-01T00:00:00.000001Z")], "its time should be"),
        (
            slice(0, 1),
            lambda line: [line, line.replace(line[13:49], b"00000000-0000-4000-8000-000000000000")],
            "00000000-0000-4000-8000-000000000000 is not in the ledger",
        ),
    ],
)
def test_what_the_ledger_does_not_say(place: slice, new: Any, message: str) -> None:
    """A stream that was tampered with behind the ledger's back is found out."""
    lines, ledger = made()
    tampered = [*lines[: place.start], *new(lines[place.start]), *lines[place.stop :]]
    report = verify(tampered, Catalog.default(), ledger=ledger)
    assert "ledger" in failed(report)
    assert message in sentences(report, "ledger")


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_ledger_says_but_did_not_happen(kind: str) -> None:
    """A clean stream does not have the faults of another run's ledger (but a place in the stream proves nothing)."""
    clean, _ = made()
    _, ledger = made(Fault(kind=kind, rate=0.2 if kind == "missing-started" else 0.02))
    report = verify(clean, Catalog.default(), ledger=ledger)
    assert report.ledger is not None
    ((listed, found),) = report.ledger.values()
    assert (found == listed) == (kind in {"late", "reorder"})
    assert ("ledger" in failed(report)) == (kind not in {"late", "reorder"})


def test_a_copy_has_to_be_the_one_of_the_ledger() -> None:
    """A duplicate that differs is not the duplicate that was injected."""
    lines, ledger = made(Fault(kind="duplicate", rate=0.02))
    twice = next(i for i, line in enumerate(lines) if line in lines[:i])
    lines[twice] = edited(lines[twice], namespace="elsewhere")
    report = verify(lines, Catalog.default(), ledger=ledger)
    assert "it should come again unchanged" in sentences(report, "ledger")


def with_chain(catalog: Catalog, one: Chain) -> Catalog:
    return replace(catalog, chains={**catalog.chains, one.name: one})


def test_wrong_shares_are_seen() -> None:
    """A run of other weights has not the catalog's shares."""
    lines, _ = made(catalog=Catalog.default().with_weights({"vault-read": 16}), chains=3000)
    report = verify(lines, Catalog.default())
    assert failed(report) == {"shares"}
    assert "vault-read" in sentences(report, "shares")


TALK = catalog_of(
    chain(
        "talk",
        state("asked", way("answered", LogNormal(median=100, p95=300), 80), way("refused", 50.0, 20)),
        state("answered"),
        state("refused", failed=True),
    )
)


def talk(delay: float = 100, share: float = 80, fixed: float = 50.0) -> Catalog:
    """The same chain with other figures."""
    answered = way("answered", LogNormal(median=delay, p95=3 * delay), share)
    asked = state("asked", answered, way("refused", Fixed(value=fixed), 100 - share))
    return with_chain(TALK, replace(TALK.chains["talk"], states={**TALK.chains["talk"].states, "asked": asked}))


@pytest.mark.parametrize(
    ("catalog", "check"),
    [(talk(share=72), "branches"), (talk(delay=115), "delays"), (talk(fixed=50.01), "delays"), (talk(), None)],
)
def test_wrong_figures_are_seen(catalog: Catalog, check: str | None) -> None:
    """A run of other branch shares or delays is told apart from the catalog's, and its own is not."""
    lines, _ = made(catalog=catalog, chains=3000)
    assert failed(verify(lines, TALK)) == ({check} if check else set())


@pytest.mark.parametrize(
    ("before", "after", "check"),
    [
        ("weight: 40", "weight: 46", "branches"),
        ("limit: 2", "limit: 3", "paths"),
        ("abandon: 20", "abandon: 0", "paths"),
        ("after: 300", "after: 330", "delays"),
        ("initial: 100", "initial: 105", "delays"),
        ("join:", "join:", None),
    ],
)
def test_wrong_figures_of_trees_are_seen(tmp_path: Path, before: str, after: str, check: str | None) -> None:
    """Causes, retries, timeouts and abandoned chains are held against the catalog, too."""
    text = ORDERS.read_text().replace(before, after)
    if "abandon" in before:  # what is not abandoned goes on
        text = text.replace("weight: 80, delay: {uniform: [100, 900]}", "weight: 100, delay: {uniform: [100, 900]}")
    (tmp_path / "other.yaml").write_text(text)
    lines, _ = made(catalog=TREES, chains=2000)
    found = failed(verify(lines, Catalog.load(tmp_path / "other.yaml").only("order", "vault-read")))
    assert (check in found) if check else not found


def test_a_run_that_was_cut_off_is_not_judged_by_its_end() -> None:
    """Chains that last long are missing among the last ones: with the ledger, that is known to be no wrong share."""
    short = chain("short", state("asked", way("answered", 10.0)), state("answered"))
    long = chain("long", state("begun", way("ended", 20_000.0)), state("ended"))
    catalog = catalog_of(short, long)
    generator, book = ChainGenerator(catalog, seed=5), io.BytesIO()
    clean = generator.window(until=generator.start + timedelta(seconds=60))
    lines = [line for block in generator.injector((), book).blocks(clean) for line in block.lines()]
    assert "shares" in failed(verify(lines, catalog))
    assert failed(verify(lines, catalog, ledger=book.getvalue().splitlines())) == set()


def test_chains_of_another_catalog() -> None:
    """What the catalog does not know is said to be unknown."""
    lines, _ = made(catalog=TALK, chains=3)
    report = verify(lines, Catalog.default())
    assert {"schema", "paths"} <= failed(report)
    assert "no event type 'test.thing.asked.v1' in the catalog" in sentences(report, "schema")


def test_causation_has_to_be_a_tree() -> None:
    """Two events that cause each other, a second root, and a cause in another chain are found."""
    lines, _ = made(chains=40)
    by_chain: dict[str, list[dict[str, Any]]] = {}
    for fields in map(orjson.loads, lines):
        by_chain.setdefault(fields["correlation_id"], []).append(fields)
    long = [events for events in by_chain.values() if len(events) > 3]
    long[0][2]["causation_id"], long[0][3]["causation_id"] = long[0][3]["event_id"], long[0][2]["event_id"]
    long[1][1]["causation_id"] = None
    long[2][1]["causation_id"] = long[3][0]["event_id"]
    report = verify([orjson.dumps(fields) for events in by_chain.values() for fields in events], Catalog.default())
    found = sentences(report, "causality")
    assert found.count("is among its own causes") == 2
    assert found.count("is a second root of its chain") == 1
    assert found.count("has a cause in another chain") == 1


def test_an_empty_stream_proves_nothing() -> None:
    """No check finds anything wrong with it, as nothing was tested; so it does not pass."""
    report = verify([], Catalog.default())
    assert all(check.passed for check in report.checks)
    assert not any(check.tested for check in report.checks)
    assert not report.passed


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "the ledger is cut off"),
        ([b"{}"], "line 1 is not one of a ledger: it has no field 'record'"),
        ([b"no"], "line 1 is not one of a ledger"),
        ([b'{"record":"run","format":2}'], "expected it to begin with a run of format 1"),
        ([b'{"record":"totals"}'], "expected it to begin with a run"),
        ([b'{"record":"run","format":1}'], "the ledger is cut off"),
        ([b"3"], "line 1 is not one of a ledger"),
    ],
)
def test_what_is_no_ledger(lines: list[bytes], message: str) -> None:
    """A file that is none, or not a whole one, is refused."""
    with pytest.raises(InvalidLedger) as refused:
        verify([], Catalog.default(), ledger=lines)
    assert message in str(refused.value)


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, ["verify", *arguments], input=stdin)


def written(folder: Path, *wanted: Fault) -> tuple[str, str]:
    paths = folder / "events.jsonl", folder / "ledger.jsonl"
    for path, lines in zip(paths, made(*wanted), strict=True):
        path.write_bytes(b"".join(line + b"\n" for line in lines))
    return str(paths[0]), str(paths[1])


def test_nothing_does_not_pass(tmp_path: Path) -> None:
    """A run whose events are lost is no sound run; only a ledger can say that there were none."""
    empty, ledger = tmp_path / "events.jsonl", io.BytesIO()
    empty.write_bytes(b"")
    result = run(str(empty))
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (1, "failed: there is nothing to check")
    assert json.loads(run(str(empty), "--json").stdout)["passed"] is False

    list(ChainGenerator(seed=1).injector([], ledger, chains=0).blocks([]))
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(ledger.getvalue())
    result = run(str(empty), "--ledger", str(path))
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "passed"), result.output


class Interrupted(io.BytesIO):
    """A stream during which the user presses Ctrl-C."""

    def read(self, size: int | None = -1) -> bytes:
        if size:  # click reads 0 bytes to see whether they are bytes
            raise KeyboardInterrupt
        return b""

    def readinto(self, buffer: Any) -> int:
        raise KeyboardInterrupt

    read1 = readline = read
    __next__ = read


def test_ctrl_c_ends_a_check_with_the_exit_code_of_all_commands() -> None:
    """130, and a word instead of a verdict."""
    result = CliRunner().invoke(cli, ["verify", "-"], input=Interrupted())
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.splitlines()[-1] == "interrupted"


def test_a_line_without_an_id_is_named_by_its_number_alone(tmp_path: Path) -> None:
    """There is nothing else to call it by."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"a":1}\n')
    assert "line 1: event_id: required, but missing" in run(str(path)).stdout


def test_the_command_on_a_sound_file(tmp_path: Path) -> None:
    """Exit code 0, a line for each check, and the verdict last."""
    events, ledger = written(tmp_path)
    result = run(events, "--ledger", ledger)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].endswith("events of 600 chains")
    assert result.stdout.splitlines()[-1] == "passed"
    assert "FAIL" not in result.stdout


def test_the_command_on_a_file_with_faults(tmp_path: Path) -> None:
    """Exit code 1; the failed checks and the faults are named, with line numbers, and with the ledger counted."""
    events, ledger = written(tmp_path, Fault(kind="duplicate", rate=0.05), Fault(kind="poison", rate=0.05))
    result = run(events)
    assert result.exit_code == 1
    assert "FAIL  identity" in result.stdout
    assert "[duplicate] line " in result.stdout
    assert result.stdout.splitlines()[-1] == "failed: readable, identity, causality, paths"
    counts = json.loads(Path(ledger).read_bytes().splitlines()[-1])["faults"]
    told = run(events, "--ledger", ledger).stdout.splitlines()[-2]
    assert told == "faults of the ledger found: " + ", ".join(f"{k} {counts[k]} of {counts[k]}" for k in sorted(counts))


def test_the_command_for_a_machine(tmp_path: Path) -> None:
    """`--json` has every finding."""
    events, _ = written(tmp_path, Fault(kind="late", rate=0.05))
    result = run(events, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["passed"] is False
    (order,) = [check for check in document["checks"] if check["name"] == "order"]
    assert order["findings"][0].keys() == {"fault", "line", "events", "sentence", "place"}
    assert len(order["findings"]) == sum(document["faults"].values()) > 5


def test_the_command_reads_what_generate_writes(tmp_path: Path) -> None:
    """`generate … | verify -`, with the same catalog and chains."""
    stream = CliRunner().invoke(cli, ["generate", "--chains", "500", "--chain", "vault-read"]).stdout_bytes
    assert run("-", "--chain", "vault-read", stdin=stream).exit_code == 0
    assert run("-", stdin=stream).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.jsonl"], 2, "nowhere.jsonl"),
        ([], 2, "FILE"),
        (["-", "--significance", "1"], 2, "significance"),
        (["-", "--chain", "nope"], 2, "no chain 'nope'"),
        (["-", "--ledger", str(GOLDEN)], 2, "line 1 is not one of a ledger"),
    ],
)
def test_wrong_usage(arguments: list[str], code: int, message: str) -> None:
    """Exit code 2, and what was wrong."""
    result = run(*arguments, stdin=b"")
    assert result.exit_code == code, result.output
    assert message in result.stderr


INCIDENT = Scenario.load("incident")


@pytest.mark.parametrize("told", [True, False], ids=["with ledger", "without"])
def test_phases_are_judged_by_what_they_are(told: bool) -> None:
    """In an incident more chains fail and all take longer, which is as it should be; elsewhere it would be wrong."""
    book = io.BytesIO()
    generator = ChainGenerator.from_scenario(INCIDENT, seed=4)
    blocks = generator.injector((), book).blocks(generator.blocks(duration=INCIDENT.duration))
    lines = [line for block in blocks for line in block.lines()]
    ledger = book.getvalue().splitlines() if told else None
    catalog = INCIDENT.catalog
    assert verify(lines, catalog, ledger=ledger, phases=INCIDENT.phases, significance=1e-6).passed
    assert {"branches", "delays"} <= failed(verify(lines, catalog, ledger=ledger))


def test_landings_of_other_journeys_are_seen() -> None:
    """Where sessions begin follows from the journeys."""
    catalog = Catalog.default().only("visitor-session")
    chain = catalog.chains["visitor-session"]
    assert chain.visitors is not None
    one = replace(chain.visitors, sets={chain.visitors.journeys: chain.visitors.active_journeys[2:]})
    lines, _ = made(catalog=with_chain(catalog, replace(chain, visitors=one)), chains=300)
    assert failed(verify(lines, catalog)) == {"shares"}
    assert "first pages of visitor-session" in sentences(verify(lines, catalog), "shares")
