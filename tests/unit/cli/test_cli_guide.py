"""`eventbus guide`: the pages, one page, and a name that is none."""

from __future__ import annotations

from importlib.resources import files

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from eventbus.cli import cli
from eventbus.cli.commands.guide import PAGES, page_text, summary


def guide(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["guide", *arguments])


def test_the_pages_are_listed_in_reading_order() -> None:
    """Each with the line under its title; the list and the folder agree."""
    result = guide()
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert names == list(PAGES)
    assert set(names) == {
        path.name.removesuffix(".md") for path in (files("eventbus") / "guide").iterdir() if path.name.endswith(".md")
    }


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_a_title_and_a_line_that_says_what_it_is_about(name: str) -> None:
    text = page_text(name)
    assert text.startswith("# ")
    assert 20 < len(summary(text)) < 110
    assert "<!--" not in text


def test_a_pipe_gets_markdown() -> None:
    """The page as it is written."""
    result = guide("faults")
    assert result.exit_code == 0
    assert result.stdout == page_text("faults")


def test_a_terminal_gets_a_formatted_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headings and tables are drawn, not written; a link to a page is the command that shows it."""
    monkeypatch.setattr(
        "eventbus.cli.render.terminal.new_console", lambda: Console(force_terminal=True, width=100, highlight=False)
    )
    result = guide("faults")
    assert result.exit_code == 0
    assert "Faults and the ledger" in result.stdout
    assert "# Faults" not in result.stdout
    assert "| kind |" not in result.stdout
    assert "eventbus guide verify" in result.stdout


@pytest.mark.parametrize(
    ("name", "hint"), [("fault", "did you mean 'faults'?"), ("scenario", "did you mean 'scenarios'?"), ("xyz", "")]
)
def test_an_unknown_page_is_wrong_usage(name: str, hint: str) -> None:
    """The error says what there is, and what is near."""
    result = guide(name)
    assert result.exit_code == 2
    assert f"no page {name!r}" in result.stderr
    assert hint in result.stderr
    assert "troubleshooting" in result.stderr


def test_case_and_ending_do_not_matter() -> None:
    assert guide("Faults.md").stdout == guide("faults").stdout
