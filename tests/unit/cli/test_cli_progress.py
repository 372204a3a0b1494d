"""The bar while a file is read."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from eventbus.cli.render.progress import lines_with_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_changes_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the lines pass by unchanged, and the bar is gone at the end."""
    path, screen = tmp_path / "events.jsonl", Terminal()
    path.write_bytes(b"a\nb\n" * 3000 + b"c")
    monkeypatch.setattr(sys, "stderr", screen)
    with path.open("rb") as file, lines_with_progress(file, "verifying") as lines:
        assert lines is not file
        assert b"".join(lines) == path.read_bytes()
    assert "verifying" in screen.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_what_has_no_length_has_no_bar(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe, or no terminal: the lines as they are."""
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    file = io.BytesIO(b"a\n")
    with lines_with_progress(file, "verifying") as lines:
        assert lines is file
