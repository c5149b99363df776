"""The log of a live dream: from it the same frames come again."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import decode, scene
from dreams import rememberer

import vidtrans as api
from vidtrans.live.dreamer import Dreamer
from vidtrans.live.live_controls import Controls
from vidtrans.models.loaded_model import load_model
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context

PLAYED = {
    0: {},
    4: {"pan_x": 0.012},
    6: {"pan_x": 0.0123, "zoom": 1.007},
    8: {"recall": 0.25, "hue": 3.0},
    11: {"goto": 1},
}


def play(dreamer: Dreamer, count: int) -> list[np.ndarray]:
    controls, shown = Controls(), []
    for number in range(count):
        controls = replace(Controls(), **PLAYED[number]) if number in PLAYED else controls
        shown.append(dreamer.step(controls, None))
    return shown


@pytest.mark.parametrize("seed", [3, pytest.param(None, marks=pytest.mark.thorough)])
def test_a_performance_is_rendered_again_from_its_log(seed: int | None) -> None:
    path, context = rememberer(Path("m.safetensors")), Context(cache_dir=Path("cache"))
    picture = None if seed is None else scene(64, 48, seed=seed)
    dreamer = Dreamer(load_model(str(path), context), RenderingSettings(), context, picture, 32)
    shown = play(dreamer, 14)
    told = dreamer.log.write(Path("take.mp4"))
    command = re.search(r"vidtrans dream (\S+) --model m.safetensors --steer take.keys --size (\S+) --frames 14$", told)
    assert command
    assert command[1] == ("take.png" if picture is not None else "noise")
    settings = {
        "dreaming": {"steer": "take.keys"},
        "rendering": {"size": command[2]},
        "encoding": {"codec": "ffv1", "sound": "none"},
    }
    for name in ("a.mkv", "b.mkv"):
        cache = {"cache_dir": Path(name + ".cache")}
        api.dream(command[1], path, name, frames=14, settings=settings, **cache)
    assert Path("a.mkv").read_bytes() == Path("b.mkv").read_bytes()
    made = decode(Path("a.mkv"))[2]
    assert [np.abs(a.astype(int) - b).max() for a, b in zip(made, shown, strict=True)] == [0] * 14
