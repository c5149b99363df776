"""The live line of a task: steps, time left and quality at any width; losses and rates with -v."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest

from vidtrans.cli.console import Console
from vidtrans.cli.live_line import fit, progress_parts
from vidtrans.core.events import Progress

TRAINING = Progress("training", 400, 1126, "steps", "held out 29.8 dB", "G 0.71  L1 0.021  D 0.60")


def parts(event: Progress, *, verbose: bool = False) -> list[str]:
    """What is known of a task that began 100 s ago with nothing done."""
    return progress_parts(event, time.monotonic() - 100, 0, verbose=verbose)


def test_a_training_shows_steps_time_and_quality_and_with_v_rates_and_losses() -> None:
    steps, left, quality = parts(TRAINING)
    assert (steps, quality) == ("step  400 of 1126", "held out 29.8 dB")
    assert left in ("3:01 left", "3:02 left")
    assert parts(TRAINING, verbose=True)[3:] == ["4.0 steps/s", "G 0.71  L1 0.021  D 0.60"]


def test_a_task_of_unknown_length_shows_its_rate() -> None:
    assert parts(Progress("reading a.mp4", 50, None)) == ["50 frames", "0.5 frames/s"]
    assert parts(Progress("loading PyTorch", 0, None)) == []


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_line_fits_and_what_matters_less_goes_first(columns: int) -> None:
    everything = parts(TRAINING, verbose=True)
    name, bar, shown = fit("training", everything, columns)
    used = 2 + len(name) + bar + 2 * bool(bar) + sum(2 + len(part) for part in shown)
    assert used <= columns
    assert shown == everything[: len(shown)]
    assert len(shown) == {60: 3, 80: 4, 120: 5}[columns]


def test_a_long_name_is_cut_before_the_amount() -> None:
    name, bar, shown = fit("rendering " + "a" * 80 + ".mp4", [" 12/240", "0:28 left"], 60)
    assert (bar, shown) == (0, [" 12/240"])
    assert name.endswith("…")
    assert 2 + len(name) + 2 + len(shown[0]) <= 60


@pytest.mark.parametrize("columns", [40, 60, 120])
def test_what_is_drawn_is_one_line_of_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    console = Console(verbose=True)
    console.report(TRAINING)
    assert console._live is not None
    console._live.refresh()
    console.close()
    plain = re.sub(r"\x1b\[\??[0-9;]*[a-zA-Z]", "", terminal.getvalue())
    drawn = [line for line in re.split(r"[\r\n]+", plain) if "training" in line]
    assert drawn
    assert max(map(len, drawn)) <= columns
    assert all("…" not in line for line in drawn)
