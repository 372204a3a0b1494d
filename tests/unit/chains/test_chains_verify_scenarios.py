"""Every scenario, clean and with all faults at once, held against its ledger."""

from __future__ import annotations

import io

import pytest

from eventbus.catalog import Scenario
from eventbus.chains import ChainGenerator, InvalidSetting
from eventbus.chains.faults import KINDS, Fault
from eventbus.chains.verification import Report, verify

NAMES = [*Scenario.names()]


def verified(name: str, *faults: Fault) -> Report:
    """The report on some chains of a scenario."""
    generator, book = ChainGenerator.from_scenario(name, seed=3), io.BytesIO()
    stage = generator.injector(able(generator, faults), book)
    lines = [line for block in stage.blocks(generator.blocks(chains=40)) for line in block.lines()]
    phases, ledger = Scenario.load(name).phases, book.getvalue().splitlines()
    return verify(lines, generator.catalog, ledger=ledger, phases=phases, significance=1e-9)


def able(generator: ChainGenerator, faults: tuple[Fault, ...]) -> list[Fault]:
    """Those that find an event to strike."""
    found = []
    for fault in faults:
        try:
            generator.injector([fault])
        except InvalidSetting:
            continue
        found.append(fault)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_clean_run_passes(name: str) -> None:
    """Every check, with the ledger."""
    report = verified(name)
    assert [check.name for check in report.checks if not check.passed] == []
    assert report.chains >= 40


@pytest.mark.parametrize("name", NAMES)
def test_the_ledger_explains_all_faults(name: str) -> None:
    """Forks, sessions and tenants are struck as chains are, and every fault is found."""
    report = verified(name, *(Fault(kind=kind, rate=0.05) for kind in KINDS))
    assert [finding.sentence for check in report.checks if check.name == "ledger" for finding in check.findings] == []
    assert report.ledger is not None
    assert len(report.ledger) > 8
    assert all(listed == found for listed, found in report.ledger.values())
