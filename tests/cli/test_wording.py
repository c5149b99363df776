"""What the command line prints: numbers, plurals, the live line of a task; patterns that a shell has expanded."""

from __future__ import annotations

import ast
import inspect
import io
import json
import sys
from collections.abc import Iterator
from io import StringIO
from itertools import pairwise
from pathlib import Path

import cv2
import pytest
from chain import foreign_options, refuse
from clips import moving_frames, write_clip
from rich.console import Console as Rich

from vidtrans.cli.console import Console, _log, batch_parts, batch_table, fit_columns, progress_parts
from vidtrans.commands import COMMANDS
from vidtrans.core.costs import TimeLeft, add_estimates, estimate
from vidtrans.core.events import BatchStatus, Note, Progress
from vidtrans.core.files import PACKAGE
from vidtrans.session import Context

TRAINING = Progress("training", 400, 1126, "steps", "held out 29.8 dB", "G 0.71  L1 0.021  D 0.60")


def parts(event: Progress, *, verbose: bool = False) -> list[str]:
    """What is known of a task that began 100 s ago with nothing done."""
    return progress_parts(event, TimeLeft(0.0, 0), 100.0, verbose=verbose)


def test_a_task_shows_steps_time_and_quality_and_with_v_rates_and_losses() -> None:
    steps, left, quality = parts(TRAINING)
    assert (steps, left, quality) == ("step  400 of 1126", "about 4 min left", "held out 29.8 dB")
    everything = parts(TRAINING, verbose=True)
    assert everything[3:] == ["4.0 steps/s", "G 0.71  L1 0.021  D 0.60"]
    for columns, count in ((60, 2), (80, 4), (120, 5)):  # what matters less goes first
        assert fit_columns("training", everything, columns)[2] == everything[:count]
    name, bar, shown = fit_columns("rendering " + "a" * 80 + ".mp4", [" 12/240", "about 30 s left"], 60)
    assert (bar, shown, name[-1]) == (0, [" 12/240"], "…")
    assert parts(Progress("reading a.mp4", 50, None)) == ["50 frames", "0.5 frames/s"]


def times_left(moments: list[float], total: int, at_most_s: float | None = None) -> list[float]:
    """Return the seconds left that are shown after each of the units that end at these moments."""
    estimate = TimeLeft(0.0, 0)
    events = [Progress("training", done, total, "steps", at_most_s=at_most_s) for done in range(1, len(moments) + 1)]
    return [left for e, at in zip(events, moments, strict=True) if (left := estimate.update(e, at)) is not None]


def test_the_time_left_settles_and_never_rises_though_steps_and_pauses_vary() -> None:
    # Slow first steps, then 0.1 s each with a preview of 3 s every 100: 160 s in all.
    moments, now = [], 0.0
    for step in range(1, 1201):
        now += 1.0 if step <= 8 else 0.1 + 3.0 * (step % 100 == 0)
        moments.append(now)
    shown = times_left(moments, 1200)
    assert all(later <= earlier for earlier, later in pairwise(shown[20:]))
    assert shown[-1] == 10
    assert shown[len(shown) // 2] in (80, 90)  # of the 78 s that it takes yet


@pytest.mark.parametrize("columns", [60, 120])
def test_a_batch_fits_and_shows_what_runs(columns: int) -> None:
    clips = (("night/a-clip-with-a-rather-long-name.mp4", Progress("rendering clip.mp4", 20, 60)), ("b.mp4", None))
    event = BatchStatus(1, 1, 3, 80, 4.8, 65.0, clips)
    screen = Rich(file=io.StringIO(), width=columns)
    screen.print(batch_table(event, columns))
    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 3
    assert max(map(len, lines)) <= columns
    assert lines[0].startswith("1/3 clips, 1 failed")
    assert ("rendering" in lines[1], "begins" in lines[2]) == (True, True)
    assert ("about 70 s left" in lines[0], "4.8 frames/s" in lines[0]) == (True, columns > 80)
    assert batch_parts(BatchStatus(1, 0, 2, 3, 1.5, None, ())) == ["1/2 clips", "3 frames", "1.5 frames/s"]


Capsys = pytest.CaptureFixture[str]


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    made = Screen()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stderr", made)
    return made


def test_numbers_in_json_are_as_short_as_they_can_be(capsys: Capsys) -> None:
    Console(as_json=True).result({"psnr": 58.599999999999994, "all": [0.1 + 0.2, (1.0, None)], "of": {"x": 1e-20}}, "")
    table = json.loads(capsys.readouterr().out)
    assert (table["psnr"], table["all"], table["of"]) == (58.6, [0.3, [1.0, None]], {"x": 1e-20})
    assert add_estimates([estimate(0.1, 0), estimate(0.2, 0)])["estimate"]["seconds"] == 0.3


def test_a_terminal_breaks_lines_between_words_and_commands_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    made = screen(monkeypatch)
    error = "clip.mp4: its pictures are not of one size — give pictures of one size, please"
    _log(f"error: {error}")
    command = "next: vidtrans stylize VIDEO --model a-name-that-is-long.safetensors"
    _log(command)
    *broken, last = made.getvalue().splitlines()
    assert " ".join(broken) == f"error: {error}"
    assert max(map(len, broken)) <= 40
    assert last == command


def test_a_task_that_counts_nothing_is_shown_without_numbers_until_the_next_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, console = screen(monkeypatch), Console()
    Context(report=console.report).begin("comparing")
    assert console._live is not None
    console._live.refresh()
    assert "comparing" in made.getvalue()
    assert "0/" not in made.getvalue()
    console.report(Note("a note"))
    assert console._live is not None  # it still takes its time
    console.report(BatchStatus(1, 0, 2, 3, 1.0, None, (("a.mp4", Progress("joining", 0, None)),)))
    console.report(Progress("training", 1, 2, "steps"))
    console._live.refresh()
    assert "1/2" in made.getvalue()
    console.report(Progress("training", 2, 2, "steps"))
    assert console._live is None  # a finished bar goes
    console.close()


def test_a_pattern_that_a_shell_has_expanded_is_refused_and_options_before_the_inputs_are_none(capsys: Capsys) -> None:
    for words in (
        ("run", "--look", "p.jpg", "--apply", "a.mp4", "b.mp4", "-o", "out.mp4"),
        ("look", "p.jpg", "--on", "a.mp4", "b.mp4"),
        ("stylize", "a.mp4", "--model", "identity", "--mask", "m1.png", "m2.png"),
    ):
        assert "takes one file at a time" in refuse(capsys, 2, *words)
    for words in (
        ("stylize", "--model", "identity", "--preset", "edges", "--mask", "a.mp4", "b.mp4"),
        ("make-dataset", "--unpaired", "b.mp4", "a.mp4"),
    ):
        assert "no such file" in refuse(capsys, 3, *words)
    assert "dream: --model is missing — give --model MODEL: " in refuse(capsys, 2, "dream", "clip.mp4")
    assert "give --look oil, pencil or another that 'vidtrans model list'" in refuse(capsys, 2, "stylize", "clip.mp4")
    frames = moving_frames(2)
    cv2.imwrite("ink.png", frames[0])
    write_clip(Path("clip.mp4"), frames)
    assert "use --on clip.mp4; for its style, give one frame" in refuse(capsys, 2, "look", "ink.png", "clip.mp4")


def strings(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in docstrings:
            yield node.value


def test_a_command_names_only_options_that_it_has_or_whose_command_it_names() -> None:
    """``refuse`` checks the same of every message that a test provokes, in whatever room it is written."""
    by_file: dict[Path, list[str]] = {}
    for name, entry in COMMANDS.items():
        module = entry.path.partition(":")[0].rpartition(".")[2]
        by_file.setdefault(PACKAGE / "commands" / f"{module}.py", []).append(name)
        for text in strings(inspect.getsource(COMMANDS.load(name))):
            assert "--" not in text or not foreign_options(text, name.split()), text
    for path, names in by_file.items():  # what several commands of a file share is of one of them
        for text in strings(path.read_text(encoding="utf-8")):
            assert "--" not in text or any(not foreign_options(text, name.split()) for name in names), text
