"""Controls that curves move: what is refused, and what values they have at each frame."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from live_server import load

from vidtrans.core.errors import UsageError
from vidtrans.curves.expressions import Signal
from vidtrans.live.live_controls import Controls, ControlState, SavedControls
from vidtrans.live.moving_controls import MovingControls
from vidtrans.models.loaded_model import LoadedModel


@pytest.fixture(scope="module")
def models() -> dict[str, LoadedModel]:
    return load("identity", "flower")


def changed(models: dict[str, LoadedModel], **values: Any) -> ControlState:
    return ControlState(Controls("identity")).with_values(values, models)


def test_a_text_is_a_curve_until_a_number_comes_and_presets_keep_it(models: dict[str, LoadedModel]) -> None:
    state = changed(models, strength="0.2 + 0.8*low", **{"edges.density": "0.1*on_beat()"})
    assert state.curve_texts() == {"strength": "0.2 + 0.8*low", "edges.density": "0.1*on_beat()"}
    assert state.numbers()["strength"] == 1.0
    assert ControlState().with_values(state.table(), models) == state
    assert state.with_values({"lerp": 0.3}, models).curve_texts() == state.curve_texts()
    saved = SavedControls(Path("presets.json"))
    saved.save("bass", state.table())
    loaded = SavedControls(Path("presets.json")).handle_message({"name": "bass", "do": "load"}, ControlState(), models)
    assert loaded is not None
    assert loaded.curve_texts() == state.curve_texts()
    still = state.with_values({"strength": 0.5}, models)
    assert list(still.curve_texts()) == ["edges.density"]
    assert still.controls.strength == 0.5


REFUSED = {
    "0: 1, 2s: 0": "no timeline for key frames",
    "0.1*shot": "no 'shot'",
    "smooth(on_cut(0.2), 1)": "no 'on_cut'",
    "mask": "no mask",
    "2*0.3": "does not move",
    "lwo": "did you mean 'low'",
    "__import__('os')": "not known",
    "/etc/passwd.csv": "not in the folder",
    "'../values.csv:a'": "not in the folder",
    "none.csv:a": "no such file",
    "values.csv:c": "has no column",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_curve_without_a_meaning_is_refused_in_one_line(models: dict[str, LoadedModel], text: str) -> None:
    Path("values.csv").write_text("time,a,b\n0,1,2\n")
    with pytest.raises(UsageError, match=REFUSED[text]) as caught:
        changed(models, strength=text)
    assert "\n" not in str(caught.value)


def test_a_large_file_and_a_link_out_of_the_folder_are_refused(
    models: dict[str, LoadedModel], tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "values.csv").write_text("time,a\n0,1\n")
    Path("link.csv").symlink_to(outside / "values.csv")
    Path("large.csv").write_bytes(b"time,a\n" + b"0,1\n" * (1 << 20))
    for name, problem in (("link.csv", "not in the folder"), ("large.csv", "more than 4 MB")):
        with pytest.raises(UsageError, match=problem):
            changed(models, strength=name)


def test_values_are_of_the_frame_and_stay_within_bounds(models: dict[str, LoadedModel]) -> None:
    moving = MovingControls(SimpleNamespace(values={Signal("low"): 0.25}, watch=lambda signals: None))  # type: ignore[arg-type]
    texts = {"strength": "frame/10", "keep_colour": "low", "lerp": "5*t + 3", "zoom": "-1/frame^9", "hue": "sqrt(-t)"}
    state = changed(models, **texts, **{"edges.density": "low/4"})
    now = moving.evaluate(state, None, 4)
    own = now.controls
    assert (own.strength, own.keep_colour, own.lerp, own.zoom, own.hue) == (0.4, 0.25, 0.98, 0.9, 0.0)
    assert now.changes(models["flower"].pairing) == {"density": 0.0625}
    assert now.curves == {}
    assert moving.evaluate(state, None, 4000).controls.strength == 2.0
    assert moving.positions["strength"] == 2.0
    assert moving.evaluate(state, None, 0).controls.zoom == 0.9  # 1/0: it stays where it was
    assert moving.evaluate(changed(models), None, 0) == changed(models)
    assert moving.positions == {}


def test_files_are_read_by_time_or_by_frame(models: dict[str, LoadedModel]) -> None:
    Path("frames.csv").write_text("frame,a\n0,0\n10,1\n")
    Path("times.csv").write_text("time,a\n0,0.75\n1000000,0.75\n")
    moving = MovingControls()
    state = changed(models, strength="frames.csv:a", keep_colour="smooth('times.csv', 0.001)")
    time.sleep(0.02)
    now = moving.evaluate(state, None, 5)
    assert now.controls.strength == 0.5
    assert now.controls.keep_colour == pytest.approx(0.75)


def test_a_frame_that_moves_is_seen_by_a_curve(models: dict[str, LoadedModel]) -> None:
    moving = MovingControls()
    state = changed(models, strength="brightness", keep_colour="follow(motion, 9)")
    rng = np.random.default_rng(1)
    for n in range(3):
        now = moving.evaluate(state, rng.integers(0, 200, (60, 80, 3), np.uint8), n)
        time.sleep(0.01)
    assert now.controls.strength == pytest.approx(0.39, abs=0.02)
    assert now.controls.keep_colour > 0.9
