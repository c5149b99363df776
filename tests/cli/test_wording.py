"""What the command line prints: numbers, plurals, lines of a terminal; patterns that a shell has expanded."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import cv2
import pytest
from chain import TINY, foreign_options, refuse
from clips import moving_frames, write_clip

import vidtrans as api
from vidtrans.cli.console import Console, _log
from vidtrans.commands import COMMANDS
from vidtrans.core.costs import add_up, count, estimate
from vidtrans.core.events import BatchStatus, Note, Progress
from vidtrans.core.files import PACKAGE
from vidtrans.session import Context
from vidtrans.strokes.media import medium_names

Capsys = pytest.CaptureFixture[str]


class Screen(StringIO):
    """A terminal of 40 columns."""

    def isatty(self) -> bool:
        return True


def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Standard error from here on."""
    made = Screen()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stderr", made)
    return made


def test_a_number_has_its_noun() -> None:
    assert [count(n, "minute") for n in (1, 1.0, 0.5, 2)] == ["1 minute", "1 minute", "0.5 minutes", "2 minutes"]
    assert count(1_234_567, "frame") == "1234567 frames"


def test_numbers_in_json_are_as_short_as_they_can_be(capsys: Capsys) -> None:
    Console(as_json=True).result({"psnr": 58.599999999999994, "all": [0.1 + 0.2, (1.0, None)], "of": {"x": 1e-20}}, "")
    table = json.loads(capsys.readouterr().out)
    assert (table["psnr"], table["all"], table["of"]) == (58.6, [0.3, [1.0, None]], {"x": 1e-20})
    assert add_up([estimate(0.1, 0), estimate(0.2, 0)])["estimate"]["seconds"] == 0.3


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


def test_a_second_column_goes_on_where_it_began_and_what_follows_a_command_below_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = screen(monkeypatch)
    _log("  film.mp4  the clip, what the model saw of it, what it painted")
    _log("  vidtrans stylize YOURS.mp4 --look ink  a look of a picture")
    assert made.getvalue().splitlines() == [
        "  film.mp4  the clip, what the model saw",
        "            of it, what it painted",
        "  vidtrans stylize YOURS.mp4 --look ink",
        "      a look of a picture",
    ]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("dream", "clip.mp4"), "dream: --model is missing — give --model MODEL: "),
        (("propagate", "clip.mp4"), "propagate: --keyframes is missing — give --keyframes "),
    ],
)
def test_an_option_that_is_missing_is_explained(arguments: tuple[str, ...], what: str, capsys: Capsys) -> None:
    line = refuse(capsys, 2, *arguments)
    assert what in line
    assert len(line.partition(what)[2].split()) >= 5


def test_a_version_or_a_command_in_a_sentence_does_not_keep_it_from_breaking(monkeypatch: pytest.MonkeyPatch) -> None:
    made = screen(monkeypatch)
    _log("ok    python  3.11.7, vidtrans 0.1.0, Linux x86_64")
    _log("a sentence that names 'vidtrans cache clean' and goes on for a while")
    assert made.getvalue().splitlines() == [
        "ok    python  3.11.7, vidtrans 0.1.0,",
        "      Linux x86_64",
        "a sentence that names",
        "'vidtrans cache clean' and goes on for a",
        "while",
    ]


def test_media_are_named_where_no_model_is(capsys: Capsys) -> None:
    line = refuse(capsys, 2, "stylize", "clip.mp4")
    assert {"oil", "pencil"} <= set(medium_names())
    assert "give --look oil, pencil or another that 'vidtrans model list' names" in line


def test_a_finished_bar_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen(monkeypatch)
    console = Console()
    console.report(Progress("reading a.mp4", 1, 2))
    assert console._live is not None
    console.report(Progress("reading a.mp4", 2, 2))
    assert console._live is None


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
    console.close()


@pytest.mark.usefixtures("one_thread")
def test_each_part_of_a_training_that_may_take_seconds_is_named(dataset: str) -> None:
    heard: list[Any] = []
    api.train(
        dataset,
        "a.safetensors",
        settings={k: TINY[k] for k in ("generator", "discriminator", "training")},
        minutes=0.002,
        report=heard.append,
    )
    tasks = [event.task for event in heard if isinstance(event, Progress)]
    compared = [task for task in tasks if task.startswith("comparing operators")]
    assert len(compared) <= 1  # where the processor computes in bf16
    before = ["reading clip.dataset", "loading PyTorch", "preparing the training", "taking a few steps"]
    after = ["preparing the training", "finishing the model"]
    assert [task for task in tasks if task != "training"] == [*before, *compared, *after]
    assert tasks.index("training") > tasks.index("taking a few steps")


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--look", "p.jpg", "--apply", "a.mp4", "b.mp4", "-o", "out.mp4"),
        ("look", "p.jpg", "--on", "a.mp4", "b.mp4"),
        ("stylize", "a.mp4", "--model", "identity", "--mask", "m1.png", "m2.png"),
        ("deflicker", "a.mp4", "--source", "b.mp4", "c.mp4"),
    ],
)
def test_a_pattern_that_a_shell_has_expanded_is_refused(arguments: tuple[str, ...], capsys: Capsys) -> None:
    assert "takes one file at a time" in refuse(capsys, 2, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("deflicker", "--set", "temporal.radius=2", "--source", "a.mp4", "b.mp4"),
        ("stylize", "--model", "identity", "--preset", "edges", "--mask", "a.mp4", "b.mp4"),
        ("make-dataset", "--unpaired", "b.mp4", "a.mp4"),
        ("compare", "a.mp4", "-o", "c.mp4", "b.mp4"),
    ],
)
def test_an_option_before_the_inputs_is_no_expanded_pattern(arguments: tuple[str, ...], capsys: Capsys) -> None:
    assert "no such file" in refuse(capsys, 3, *arguments)


def test_a_video_beside_a_picture_is_no_look_unasked(capsys: Capsys) -> None:
    frames = moving_frames(2)
    cv2.imwrite("ink.png", frames[0])
    write_clip(Path("clip.mp4"), frames)
    assert "use --on clip.mp4; for its style, give one frame" in refuse(capsys, 2, "look", "ink.png", "clip.mp4")


def strings(path: Path) -> Iterator[str]:
    """The texts of a module, without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in docstrings:
            yield node.value


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_names_only_options_that_it_has_or_whose_command_it_names(name: str) -> None:
    """``refuse`` checks the same of every message that a test provokes, in whatever room it is written."""
    module = COMMANDS[name].path.partition(":")[0].rpartition(".")[2]
    for text in strings(PACKAGE / "commands" / f"{module}.py"):
        assert not foreign_options(text, name.split()), text
