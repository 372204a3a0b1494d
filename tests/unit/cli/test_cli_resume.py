"""`eventbus generate --resume`: however a run ended, going on gives the file of an uninterrupted one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventbus.chains import ChainGenerator
from eventbus.cli import cli

RUN = ("--chains", "300", "--seed", "7", "--rate", "100000")
"""So crowded that many events share a microsecond."""


def generate(out: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["generate", "--resume", "--out", str(out), *arguments])


def whole() -> bytes:
    return b"".join(bytes(block.buffer) for block in ChainGenerator(seed=7, rate=100_000).blocks(chains=300))


WHOLE = whole()


@given(kept=st.integers(0, len(WHOLE)))
@example(kept=len(WHOLE))
@example(kept=0)
@example(kept=5)
@settings(max_examples=40, deadline=None)
def test_wherever_it_was_cut(tmp_path_factory: pytest.TempPathFactory, kept: int) -> None:
    """Any beginning, in the middle of a line too, is completed to the same bytes, and the account is of the whole."""
    out = tmp_path_factory.mktemp("resume") / "events.jsonl"
    part = out.with_name("events.jsonl.part")
    part.write_bytes(WHOLE[:kept])
    result = generate(out, *RUN, "--progress")
    assert result.exit_code == 0, result.stderr
    assert out.read_bytes() == WHOLE
    assert f"{len(WHOLE.splitlines()):,} events of 300 chains, {len(WHOLE):,} bytes" in result.stderr
    assert not part.exists()


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    """After SIGKILL and after Ctrl-C, the same command goes on where the file ends, with another number of workers."""
    out, part = tmp_path / "events.jsonl", tmp_path / "events.jsonl.part"
    run = ["--chains", "400000", "--out", str(out), "--resume"]
    for how in (signal.SIGKILL, signal.SIGINT):
        before = part.stat().st_size if part.exists() else 0
        with subprocess.Popen([sys.executable, "-m", "eventbus", "generate", *run], stderr=subprocess.PIPE) as process:
            while not part.exists() or part.stat().st_size <= before:
                assert process.poll() is None
                time.sleep(0.001)
            process.send_signal(how)
            process.wait(10)
        assert not out.exists()
    result = generate(out, *run[:2], "--workers", "2")
    assert result.exit_code == 0, result.stderr
    assert out.read_bytes() == b"".join(bytes(block.buffer) for block in ChainGenerator().blocks(chains=400_000))


@pytest.mark.parametrize("foreign", [b"no event\n", b"no line", b"\0" * 100 + b"\nrest", b"other seed"])
def test_the_file_of_another_run_is_left_alone(tmp_path: Path, foreign: bytes) -> None:
    """What is not the beginning of this run is refused, and kept as it is."""
    if foreign == b"other seed":
        foreign = b"".join(bytes(block.buffer) for block in ChainGenerator(seed=8).blocks(chains=5))
    part = tmp_path / "events.jsonl.part"
    part.write_bytes(foreign)
    result = generate(tmp_path / "events.jsonl", *RUN)
    assert result.exit_code == 2
    assert "is of another run" in result.stderr
    assert part.read_bytes() == foreign
    assert list(tmp_path.iterdir()) == [part]


def test_a_window_goes_on_too(tmp_path: Path) -> None:
    """`--until` bounds what is added."""
    out = tmp_path / "events.jsonl"
    window = ("--from", "2026-01-01T00:00:02", "--until", "2026-01-01T00:00:09")
    assert generate(out, *window).exit_code == 0
    complete = out.read_bytes()
    out.unlink()
    (tmp_path / "events.jsonl.part").write_bytes(complete[:5000])
    assert generate(out, *window).exit_code == 0
    assert out.read_bytes() == complete


@pytest.mark.parametrize("arguments", [["--index", "3"], ["--fault", "drop=0.1"], ["--ledger", "ledger.jsonl"]])
def test_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    """What cannot be gone on with is refused."""
    result = generate(tmp_path / "events.jsonl", *arguments)
    assert result.exit_code == 2
    assert "--resume needs --out" in result.stderr
    assert list(tmp_path.iterdir()) == []
