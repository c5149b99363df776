"""What the Python functions return: the table of ``--json`` with typed attributes, in programs and in notebooks."""

from __future__ import annotations

import base64
import json
import pickle
import re
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from chain import TINY, quick_training, said
from clips import moving_frames, times, write_clip

import vidtrans
from vidtrans.commands.results import CommandResult, ResultField
from vidtrans.core.events import Note, Preview, Progress
from vidtrans.notebooks.progress import notebook_report

Patch = pytest.MonkeyPatch
Capsys = pytest.CaptureFixture[str]

SIZE = (64, 48)
# What each kind of result holds, of a small run: the attributes, and the entries of the table without one of their own.
KINDS: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str, "Path": Path, "Fraction": Fraction}
KINDS |= {"to_size": tuple, "to_ints": tuple, "to_strings": tuple, "to_tables": tuple, "to_scores": dict}


@pytest.fixture
def clip() -> str:
    write_clip(Path("c.mkv"), moving_frames(8, SIZE), codec="ffv1", pix_fmt="bgr0")
    return "c.mkv"


def facts(result: CommandResult) -> dict[str, ResultField[Any]]:
    found = {
        name: fact for cls in type(result).__mro__ for name, fact in vars(cls).items() if isinstance(fact, ResultField)
    }
    assert all(fact.__doc__ for fact in found.values())
    return found


def check(result: CommandResult, kind: type[CommandResult]) -> None:
    """Read every attribute; what it gives is of the type that it says."""
    assert type(result) is kind
    for name, fact in facts(result).items():
        wanted, _, optional = fact.read.__name__.partition(" | ")
        value = getattr(result, name)
        assert isinstance(value, KINDS[wanted]) or (optional and value is None), (name, value)
    assert json.loads(json.dumps(result)) == result
    again = pickle.loads(pickle.dumps(result))
    assert again == result
    assert str(again) == str(result)
    assert isinstance(result._repr_html_(), str)


def test_every_kind_of_result_has_the_attributes_that_it_promises(clip: str, capsys: Capsys) -> None:
    rendered = vidtrans.stylize(clip, "identity", codec="ffv1", score=True)
    check(rendered, vidtrans.RenderedClip)
    assert (rendered.frames, rendered.size, rendered.source) == (8, SIZE, Path("c.mkv"))
    assert rendered.path == Path(rendered["output"])
    score = rendered.score
    assert score is not None
    check(score, vidtrans.ClipScores)
    check(vidtrans.evaluate(rendered.path, clip, result="scores.png"), vidtrans.ClipScores)
    probed = vidtrans.probe(clip)
    check(probed, vidtrans.ProbedClip)
    assert said(capsys, 0, "probe", clip).rstrip() == str(probed)
    check(vidtrans.sheet(clip), vidtrans.MadePicture)
    made = vidtrans.make_dataset(clip, settings=TINY)
    check(made, vidtrans.MadeDataset)
    trained = vidtrans.train("c.dataset", settings=quick_training(1))
    check(trained, vidtrans.TrainedModel)
    assert trained.report.is_file()
    with pytest.raises(AttributeError, match="nothing was written"):
        _ = vidtrans.probe(clip).path


def test_a_dry_run_has_no_time_and_says_so(clip: str) -> None:
    planned = vidtrans.stylize(clip, "identity", dry_run=True)
    assert planned.frames == 8
    with pytest.raises(AttributeError, match="no 'seconds' in a RenderedClip of a dry run"):
        _ = planned.seconds
    assert not hasattr(planned, "is_cached")
    assert "would render" in planned._repr_html_()


def test_the_results_of_several_clips_are_results(clip: str) -> None:
    Path("d.mkv").write_bytes(Path(clip).read_bytes())
    batch = vidtrans.stylize([clip, "d.mkv"], "identity", output="out/", executor="inline")
    assert [one.source for one in batch.each] == [Path("c.mkv"), Path("d.mkv")]
    assert all(one.path.is_file() and one.frames == 8 for one in batch.each)
    assert len(str(batch).splitlines()) == 2
    assert batch._repr_html_().count("<figure") == 2


# In a notebook


def videos_in(html: str) -> list[Path]:
    files = []
    for number, data in enumerate(re.findall(r'src="data:video/mp4;base64,([^"]+)"', html)):
        files.append(Path(f"shown{number}.mp4"))
        files[-1].write_bytes(base64.b64decode(data))
    return files


def test_a_render_is_shown_beside_its_part_of_the_source(clip: str, monkeypatch: Patch) -> None:
    html = vidtrans.stylize(clip, "identity", start="2", end="7", codec="prores")._repr_html_()
    after, before = videos_in(html)
    assert len(times(after)) == 5
    assert times(after) == times(before)
    monkeypatch.setattr("vidtrans.notebooks.views.MAX_FILM_S", 0.08)
    html = vidtrans.stylize(clip, "identity", codec="ffv1")._repr_html_()
    assert [len(times(file)) for file in videos_in(html)] == [3, 3]


class Area:
    """An area of a notebook's output, as IPython's handle is: its states in turn."""

    def __init__(self) -> None:
        self.states = [""]

    def update(self, html: str) -> None:
        self.states.append(html)


@pytest.fixture
def notebook(monkeypatch: Patch) -> list[Area]:
    """Let a notebook's kernel run this; return the areas that are made."""
    areas: list[Area] = []

    def display(html: str, display_id: bool) -> Area:
        areas.append(Area())
        return areas[-1]

    shell = SimpleNamespace(kernel=object())
    for name, members in {
        "IPython": {"get_ipython": lambda: shell},
        "IPython.display": {"HTML": str, "display": display},
    }.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return areas


def test_a_job_in_a_notebook_shows_a_bar_and_warnings(notebook: list[Area], monkeypatch: Patch) -> None:
    cv2.imwrite("a.png", np.zeros((8, 8, 3), np.uint8))
    with notebook_report(None) as report:
        report(Progress("rendering", 3, 10, detail="4 s left"))
        bar, preview = notebook
        assert "3 of 10 frames" in bar.states[-1]
        assert 'value="3" max="10"' in bar.states[-1]
        report(Note("<odd> rate", "warning"))
        assert "warning: &lt;odd&gt; rate" in bar.states[-1]
        report(Note("reading"))
        report(Preview(Path("a.png")))
        assert "data:image/jpeg" in preview.states[-1]
        shown = len(preview.states)
        report(Preview(Path("a.png")))
        assert len(preview.states) == shown  # not again at once
    assert "progress" not in bar.states[-1]
    assert "reading" not in bar.states[-1]
    assert "odd" in bar.states[-1]
    assert preview.states[-1] == ""


def test_a_training_in_a_notebook_shows_what_it_learns(notebook: list[Area], dataset: str, monkeypatch: Patch) -> None:
    monkeypatch.setattr("vidtrans.notebooks.progress.DRAW_INTERVAL_S", 0.0)  # two steps take less than that
    tables = quick_training(2)
    tables["training"] |= {"val_interval": 1, "preview_seconds": 0.0}
    vidtrans.train(dataset, settings=tables)
    bar, preview = notebook
    assert any("of 2 steps" in state for state in bar.states)
    assert any("data:image/jpeg" in state for state in preview.states)
    assert any("srcdoc" in state for state in preview.states)
