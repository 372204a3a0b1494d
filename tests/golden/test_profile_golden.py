"""The chart of a day is what `--report` draws, today as ever.

When the drawing changes on purpose, write it anew with `python -m tests.golden.test_profile_golden`.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from click.testing import CliRunner

from eventbus.cli import cli

PICTURE = Path(__file__).parent / "profile.svg"
RUN = ("generate", "--scenario", "day-in-the-life", "--seed", "7", "--out", "/dev/null")


def draw(path: Path) -> None:
    result = CliRunner().invoke(cli, [*RUN, "--report", str(path)])
    assert result.exit_code == 0, result.output


def test_the_picture_of_the_day(tmp_path: Path) -> None:
    """A day of visitors, by the hour: the same picture, to the byte."""
    draw(tmp_path / "profile.svg")
    assert (tmp_path / "profile.svg").read_bytes() == PICTURE.read_bytes()


def test_the_picture_is_of_a_whole_day() -> None:
    """An SVG with a bar for each hour and a line for the target."""
    drawn = ET.parse(PICTURE).getroot()
    name = "{http://www.w3.org/2000/svg}"
    bars = [bar for bar in drawn.iter(f"{name}rect") if bar.find(f"{name}title") is not None]
    assert len(bars) == 24
    assert any(path.get("class") == "target" for path in drawn.iter(f"{name}path"))


if __name__ == "__main__":
    draw(PICTURE)
