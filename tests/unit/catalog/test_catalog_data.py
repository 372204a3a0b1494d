"""The shipped catalog has the documented chains, and the payloads of a chain are consistent from event to event."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from eventbus.catalog import Catalog, Chain, Exponential, Fixed, LogNormal, PayloadField, Uniform
from eventbus.catalog.model import every_field
from eventbus.catalog.sources import ElapsedTime, ListPick, TextTemplate, VariableValue

Step = tuple[str, ...]

INTELLIGENCE = "omninode.intelligence.query"
AGENT = "omninode.agent"
FIFTY_TO_150 = Uniform(minimum=50, maximum=150)
HALF_TO_ONE_AND_A_HALF_S = Uniform(minimum=500, maximum=1500)

# chain → weight, and for each event type the ways on: (delay, share of a hundred, event type)
PROMISED = {
    "intelligence-query": (
        30,
        {f"{INTELLIGENCE}.requested.v1": [(Uniform(minimum=100, maximum=300), 100, f"{INTELLIGENCE}.completed.v1")]},
    ),
    "agent-execution": (
        20,
        {
            f"{AGENT}.routing.requested.v1": [(FIFTY_TO_150, 100, f"{AGENT}.routing.completed.v1")],
            f"{AGENT}.routing.completed.v1": [(Fixed(value=100), 100, f"{AGENT}.execution.started.v1")],
            f"{AGENT}.execution.started.v1": [
                (HALF_TO_ONE_AND_A_HALF_S, 90, f"{AGENT}.execution.completed.v1"),
                (HALF_TO_ONE_AND_A_HALF_S, 10, f"{AGENT}.execution.failed.v1"),
            ],
        },
    ),
    "code-generation": (
        15,
        {
            "omninode.code.generation.requested.v1": [
                (Uniform(minimum=200, maximum=500), 100, "omninode.code.generation.completed.v1")
            ]
        },
    ),
    "metadata-stamping": (
        10,
        {"omninode.metadata.stamping.requested.v1": [(FIFTY_TO_150, 100, "omninode.metadata.stamping.stamped.v1")]},
    ),
    "database-query": (
        10,
        {
            "omninode.database.query.requested.v1": [
                (Uniform(minimum=10, maximum=60), 100, "omninode.database.query.completed.v1")
            ]
        },
    ),
    "consul-register": (
        7,
        {
            "omninode.consul.service.register.requested.v1": [
                (Fixed(value=50), 100, "omninode.consul.service.registered.v1")
            ]
        },
    ),
    "vault-read": (
        8,
        {
            "omninode.vault.secret.read.requested.v1": [
                (Uniform(minimum=20, maximum=50), 100, "omninode.vault.secret.read.completed.v1")
            ]
        },
    ),
}
SHIPPED = Catalog.default()


@pytest.mark.parametrize("name", PROMISED)
def test_a_chain_has_exactly_the_promised_numbers(name: str) -> None:
    """Weight, event types, delays and shares equal those of the table."""
    chain = SHIPPED.chain(name)
    ways = {
        state.emits: [(t.delay, 100 * t.weight / state.total, chain.states[t.to].emits) for t in state.next]
        for state in chain.states.values()
        if state.next
    }
    assert (chain.weight, ways) == PROMISED[name]


def test_nothing_else_is_on_by_default() -> None:
    """The weights of the active chains sum to 100; the longer chains are off by default."""
    on = {name for name, chain in SHIPPED.chains.items() if chain.weight}
    assert on == set(PROMISED)
    assert sum(chain.weight for chain in SHIPPED.chains.values()) == 100
    assert set(SHIPPED.chains) - on == {"pattern-discovery", "compliance-validation", "visitor-session"}


def test_only_the_failed_execution_fails() -> None:
    """All chains complete, except executions that fail."""
    failing = {s.emits for c in SHIPPED.chains.values() for s in c.states.values() if s.outcome == "failed"}
    assert failing == {f"{AGENT}.execution.failed.v1"}


def test_pattern_discovery_finds_one_or_more() -> None:
    """requested → started → 1…n discovered → completed, with delays that have a tail."""
    states = SHIPPED.chain("pattern-discovery").states
    assert [t.to for t in states["started"].next] == ["discovered"]
    assert {t.to for t in states["discovered"].next} == {"discovered", "completed"}
    assert all(isinstance(t.delay, LogNormal | Exponential) for s in states.values() for t in s.next)


def test_compliance_validation_branches_and_joins_again() -> None:
    """requested → started → validated | violation found → completed."""
    states = SHIPPED.chain("compliance-validation").states
    assert {t.to for t in states["started"].next} == {"validated", "violated"}
    assert [t.to for name in ("validated", "violated") for t in states[name].next] == ["completed", "completed"]


def test_every_event_type_is_described_and_has_a_payload() -> None:
    """Each event type has a description."""
    assert len(SHIPPED.events) > 20
    for event in SHIPPED.events.values():
        assert event.description.endswith(".")
        assert event.payload
        assert event.name.startswith(f"{event.domain}.")
        assert SHIPPED.partitions[event.domain] >= 1


def test_lists_are_long_enough_to_look_real() -> None:
    """15 items or more, except for databases, of which companies have few."""
    short = {name: len(items) for name, items in SHIPPED.lists.items() if not 15 <= len(items) <= 30}
    assert short == {"database": 7}


def test_every_list_is_used() -> None:
    """Each list is used by a field or a variable."""
    named = {v.list for c in SHIPPED.chains.values() for v in c.variables.values() if v.list}
    fields = [field for event in SHIPPED.events.values() for _, field in every_field(event.payload)]
    named |= {field.source.list_name for field in fields if isinstance(field.source, ListPick)}
    assert named == set(SHIPPED.lists)


@pytest.mark.parametrize("chain", [c for c in SHIPPED.chains.values() if not c.visitors], ids=lambda chain: chain.name)
def test_an_answer_says_how_long_it_took(chain: Chain) -> None:
    """Every event that ends a chain, and every completed one, has `duration_ms`: the time since its cause."""
    assert any(not state.next for state in chain.states.values())
    for state in chain.states.values():
        event = SHIPPED.event_type(state.emits)
        timed = [field for field in event.payload if isinstance(field.source, ElapsedTime)]
        assert all(one.name == "duration_ms" for one in timed)
        if not state.next or event.action == "completed":
            assert [one.name for one in timed] == ["duration_ms"]
        assert state.name != chain.start or not timed


@pytest.mark.parametrize(
    ("asking", "answering", "asked", "answered"),
    [
        (f"{INTELLIGENCE}.requested.v1", f"{INTELLIGENCE}.completed.v1", "query", "query"),
        (f"{AGENT}.routing.completed.v1", f"{AGENT}.execution.started.v1", "selected_agent", "agent"),
        (f"{AGENT}.execution.started.v1", f"{AGENT}.execution.completed.v1", "agent", "agent"),
        (f"{AGENT}.execution.started.v1", f"{AGENT}.execution.failed.v1", "agent", "agent"),
        (f"{AGENT}.routing.requested.v1", f"{AGENT}.execution.completed.v1", "task", "task"),
    ],
)
def test_answers_repeat_the_values_of_their_requests(asking: str, answering: str, asked: str, answered: str) -> None:
    """Both events have the same variable of the chain."""
    first, second = _field(asking, asked), _field(answering, answered)
    assert isinstance(first.source, VariableValue)
    assert first.source == second.source


def test_the_classic_question_is_among_the_queries() -> None:
    """`optimize database` asks for a code analysis."""
    asked = [(q["query"], q["operation_type"]) for q in SHIPPED.lists["intelligence_query"]]
    assert asked[0] == ("optimize database", "code_analysis")
    assert len(set(asked)) == len(asked)
    assert _field(f"{INTELLIGENCE}.completed.v1", "result").type == "object"


def test_a_failure_has_class_and_message_of_one_error() -> None:
    """Both come from the same item, so they match."""
    failed, fits = f"{AGENT}.execution.failed.v1", (("kinds", "task.kind"),)
    assert _field(failed, "error_class").source == ListPick("agent_error.class", fits)
    assert _field(failed, "error_message").source == TextTemplate(ListPick("agent_error.message", fits))


def test_the_allowed_values_of_fields() -> None:
    """`allowed` follows constants, choices, picks and variables down to the values."""
    assert _field(f"{AGENT}.execution.completed.v1", "status").allowed == ("success",)
    assert _field(f"{AGENT}.routing.requested.v1", "priority").allowed == ("low", "normal", "normal", "normal", "high")
    agents = tuple(agent["name"] for agent in SHIPPED.lists["agent"])
    assert _field(f"{AGENT}.execution.started.v1", "agent").allowed == agents
    assert _field(f"{AGENT}.execution.completed.v1", "duration_ms").allowed is None
    assert _field("omninode.database.query.completed.v1", "rows").allowed is None


def test_loading_the_shipped_catalog_imports_nothing_heavy() -> None:
    """A cold start imports YAML only: no pydantic, NumPy or difflib."""
    code = "import sys; from eventbus.catalog import Catalog; Catalog.default(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pydantic", "numpy", "difflib", "asyncio", "orjson"} & set(done.stdout.split())


def test_the_shipped_catalog_is_loaded_once() -> None:
    """`default` returns the same value each time."""
    assert Catalog.default() is Catalog.default()


def _field(event_type: str, name: str) -> PayloadField:
    return next(_fields(event_type, name))


def _fields(event_type: str, name: str) -> Iterator[PayloadField]:
    return (one for path, one in every_field(SHIPPED.event_type(event_type).payload) if path[-1] == name)
