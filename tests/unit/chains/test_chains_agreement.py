"""The shipped events agree with themselves and with each other: each rule over 100,000 chains of two years."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import orjson
import pytest

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator

CHAINS, RATE = 100_000, 0.0016
Payload = dict[str, Any]


class Happened(NamedTuple):
    """An event."""

    type: str
    payload: Payload


class Traffic(NamedTuple):
    """The events of the run, in order."""

    payloads: dict[str, list[Payload]]
    """By the end of the event type: `agent.execution.failed`."""
    chains: dict[str, list[Happened]]


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    catalog = Catalog.default().with_weights({"pattern-discovery": 10, "compliance-validation": 15})
    payloads: dict[str, list[Payload]] = defaultdict(list)
    chains: dict[str, list[Happened]] = defaultdict(list)
    for lines in ChainGenerator(catalog, seed=11, rate=RATE).lines(chains=CHAINS):
        for event in orjson.loads(b"[%b]" % b",".join(lines)):
            name = event["event_type"][len("omninode.") : -len(".v1")]
            payloads[name].append(event["payload"])
            chains[event["correlation_id"]].append(Happened(name, event["payload"]))
    assert len(chains) == CHAINS
    assert min(map(len, payloads.values())) > 500
    return Traffic(payloads, chains)


def values(payloads: list[Payload], by: str, of: str) -> dict[Any, set[Any]]:
    """The different values of one field for each value of another."""
    found: dict[Any, set[Any]] = defaultdict(set)
    for payload in payloads:
        found[payload[by]].add(payload[of])
    assert len(found) > 1
    return found


def determines(payloads: list[Payload], by: str, *fields: str) -> bool:
    """Whether the value of one field implies those of others."""
    return all(len(distinct) == 1 for of in fields for distinct in values(payloads, by, of).values())


def followed(traffic: Traffic, first: str, then: str) -> Iterator[tuple[Payload, Payload]]:
    """The payloads of two event types in each chain that has both."""
    count = 0
    for events in traffic.chains.values():
        payloads = {event.type: event.payload for event in events}
        if first in payloads and then in payloads:
            count += 1
            yield payloads[first], payloads[then]
    assert count > 500


VARYING = {"duration_ms", "pattern", "kind", "path", "occurrences", "confidence"}
"""What each event of a search for patterns has of its own."""


def test_fields_of_one_name_have_one_value_in_a_chain(traffic: Traffic) -> None:
    """What is asked for in one event is what later ones answer."""
    compared = 0
    for events in traffic.chains.values():
        known: Payload = {}
        for event in events:
            for name, value in event.payload.items():
                if (name in VARYING and event.type.startswith("pattern")) or name in {"duration_ms", "status"}:
                    continue
                compared += name in known
                assert known.setdefault(name, value) == value, (event, known)
    assert compared > CHAINS


def test_an_agent_fits_its_task(traffic: Traffic) -> None:
    """A task takes one capability, the agent that is chosen has this one, and it is the agent that works."""
    routed = traffic.payloads["agent.routing.completed"]
    assert determines(routed, "task", "capability")
    assert determines(routed, "selected_agent", "capability")
    assert max(map(len, values(routed, "capability", "selected_agent").values())) > 1
    for chosen, started in followed(traffic, "agent.routing.completed", "agent.execution.started"):
        assert (chosen["selected_agent"], chosen["capability"]) == (started["agent"], started["capability"])


def test_a_failed_agent_states_the_real_figure(traffic: Traffic) -> None:
    """A message that names milliseconds names those that the agent took, and an error fits the kind of its task."""
    failed = traffic.payloads["agent.execution.failed"]
    figures = [(re.search(r"(\d+) ms", each["error_message"]), each["duration_ms"]) for each in failed]
    stated = [(int(match[1]), duration) for match, duration in figures if match]
    assert len(stated) > 100
    assert all(figure == duration for figure, duration in stated)
    assert not any("{" in each["error_message"] for each in failed)
    assert determines(failed, "error_class", "retryable")
    changing = {"PermissionError", "MergeConflictError", "DependencyError", "TestFailure"}
    completed = traffic.payloads["agent.execution.completed"]
    reading = {each["task"] for each in completed} - {
        each["task"] for each in completed if each["result"]["files_changed"]
    }
    assert len(reading) > 3
    assert changing <= {each["error_class"] for each in failed}
    assert not any(each["task"] in reading and each["error_class"] in changing for each in failed)


def test_the_work_of_an_agent_adds_up(traffic: Traffic) -> None:
    """Each changed file takes a tool call, and each call takes tokens; calls stay within the budget of errors."""
    for payload in traffic.payloads["agent.execution.completed"]:
        result = payload["result"]
        assert result["files_changed"] < result["tool_calls"] <= 16
        assert (result["tokens"] - 120) / result["tool_calls"] >= 90
        assert (result["tokens"] - 400) / result["tool_calls"] <= 320


def test_tokens_fit_the_lines_of_code(traffic: Traffic) -> None:
    """A line has 8 to 13 tokens, with a few more for the words around the code; a path fits its language."""
    completed = traffic.payloads["code.generation.completed"]
    for payload in completed:
        lines, tokens = payload["result"]["lines"], payload["tokens"]
        assert 8 * lines + 20 <= tokens <= 13 * lines + 90
        assert payload["language"] != "sql" or payload["result"]["tests_added"] == 0
    assert determines(completed, "target_path", "language", "repository")
    assert determines(completed, "repository", "language")


def test_replicas_take_no_writes(traffic: Traffic) -> None:
    """Statements that change something go to a primary, and each table is in the databases of one cluster."""
    answered = traffic.payloads["database.query.completed"]
    on_replicas = [each["operation"] for each in answered if "replica" in each["database"]]
    assert len(on_replicas) > 500
    assert set(on_replicas) == {"SELECT"}
    assert {"INSERT", "UPDATE", "DELETE"} < {each["operation"] for each in answered}
    tables = values(answered, "table", "database")
    assert all(len({name.split("-")[0] for name in names}) == 1 for names in tables.values())


def test_rows_fit_the_statement(traffic: Traffic) -> None:
    """`LIMIT` is kept, a row that is inserted is one row, as is a total, and a unique key finds one at most."""
    kinds: dict[str, int] = defaultdict(int)
    for asked, answered in followed(traffic, "database.query.requested", "database.query.completed"):
        statement, rows = asked["statement"], answered["rows"]
        if limit := re.search(r"LIMIT (\d+)", statement):
            kinds["limit"] += 1
            assert rows <= int(limit[1])
        if statement.startswith("INSERT") or "SELECT sum(" in statement:
            kinds["one"] += 1
            assert rows == 1
        if re.search(r"(email = lower\(\$1\)|token_hash = \$1|WHERE id = \$1|sku = \$1)", statement):
            kinds["unique"] += 1
            assert rows <= 1
        if "GROUP BY" in statement:
            kinds["groups"] += 1
            assert rows == 6
        if "$1 ORDER BY day" in statement:
            kinds["days"] += 1
            assert 28 <= rows <= 31
    assert len(kinds) == 5
    assert min(kinds.values()) > 300


def test_one_content_has_one_hash_and_one_size(traffic: Traffic) -> None:
    """A hash stands for one file of one repository, with one size and one set of fields."""
    stamped = traffic.payloads["metadata.stamping.stamped"]
    assert determines(stamped, "content_hash", "path", "repository", "size_bytes", "fields_written")
    assert determines(stamped, "path", "content_hash")


def test_versions_of_a_secret_never_fall(traffic: Traffic) -> None:
    """Every secret is changed some time within two years, and its version only grows, by small steps."""
    versions: dict[str, list[int]] = defaultdict(list)
    for payload in traffic.payloads["vault.secret.read.completed"]:
        versions[payload["path"]].append(payload["version"])
    assert len(versions) == 16
    for seen in versions.values():
        assert all(later - earlier in {0, 1} for earlier, later in pairwise(seen))
        assert seen[-1] > seen[0] >= 1
    assert len({seen[0] for seen in versions.values()}) > 5


def test_leases_fit_the_engine(traffic: Traffic) -> None:
    """What is stored has no lease, what is made for a client has; only a lease can be renewed."""
    for asked, read in followed(traffic, "vault.secret.read.requested", "vault.secret.read.completed"):
        assert (read["lease_seconds"] > 0) == (asked["engine"] in {"database", "pki"})
        assert read["lease_seconds"] > 0 or not read["renewable"]


def test_instances_count_what_registers(traffic: Traffic) -> None:
    """A service has as many instances as there are ids that register for it, each with one address."""
    registered = traffic.payloads["consul.service.registered"]
    ids = values(registered, "service", "service_id")
    assert {len(each) for each in ids.values()} == {1, 2}
    assert all(each["instances"] == len(ids[each["service"]]) for each in registered)
    assert determines(registered, "service_id", "service", "address", "port")


def test_a_violation_breaks_a_rule_of_its_policy(traffic: Traffic) -> None:
    """A rule belongs to one policy, and has one severity and one message; a policy has one number of rules."""
    found = traffic.payloads["compliance.violation.found"]
    assert determines(found, "rule", "policy_id", "severity", "message")
    assert len(values(found, "policy_id", "rule")) == 15
    assert determines(traffic.payloads["compliance.validation.completed"], "policy_id", "rules_checked")
    for started, passed in followed(traffic, "compliance.validation.started", "compliance.validated"):
        assert started["rules"] == passed["rules_passed"]


def test_an_answer_is_about_its_repository(traffic: Traffic) -> None:
    """A question is about one repository and has one answer; a repository has one number of files everywhere."""
    answered = traffic.payloads["intelligence.query.completed"]
    assert determines(answered, "query", "repository", "operation_type")
    results = [each["result"] | {"repository": each["repository"]} for each in answered]
    assert determines(results, "summary", "findings")
    assert all(each["findings"] <= each["files_scanned"] for each in results)
    searched = traffic.payloads["pattern.discovery.completed"]
    files = [{"repository": each["repository"], "files": each["files_scanned"]} for each in results]
    assert determines([*files, *searched], "repository", "files")


LANGUAGES = {"py": "python", "java": "java", "ts": "typescript", "tsx": "typescript", "go": "go", "rs": "rust"}


def test_patterns_lie_in_their_repository(traffic: Traffic) -> None:
    """Their paths are of its language, and none is found twice, and they occur as often as was asked for."""
    found = [each | {"suffix": each["path"].rpartition(".")[2]} for each in traffic.payloads["pattern.discovered"]]
    languages = [{"repository": each["repository"], "of": LANGUAGES.get(each["suffix"], "sql")} for each in found]
    assert determines(languages, "repository", "of")
    lowest = 99
    most = 0
    for events in traffic.chains.values():
        if events[0].type == "pattern.discovery.requested":
            support = events[0].payload["minimum_support"]
            names = [event.payload["pattern"] for event in events[2:-1]]
            most = max(most, len(names))
            assert len(set(names)) == len(names)
            for event in events[2:-1]:
                assert event.payload["occurrences"] >= support
                lowest = min(lowest, event.payload["occurrences"])
    assert lowest == 2
    assert most > 10
