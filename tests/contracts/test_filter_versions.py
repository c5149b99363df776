"""What a filter makes changes with its version only: renders in people's caches are told from new ones by that.

Where a filter makes something else on purpose, raise its ``version`` and run this file as a program: it writes the
numbers anew. A flow method has no version of its own: where it finds another flow, raise those of what follows it
(the filters, ``flow.history``, ``rendering.draft_step``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from flicker import Frames, busy, causal, drifting, flickering, grainy, look, run, samples, window

from vidtrans.flow import FLOWS, GREY_FLOWS
from vidtrans.temporal.stream import Filter

GOLDEN = Path(__file__).with_name("filter_versions.json")
COUNT, SIZE, BLOCK = 24, (64, 48), 16
SHOWN = (2, 10, 17)  # the frames that are looked at
CUT = 20


def passing() -> tuple[Frames, Frames]:
    """Motion, something that passes, flicker and grain."""
    return busy(COUNT, SIZE)


def fading() -> tuple[Frames, Frames]:
    """A source that gets darker and has a texture, and a look that flickers and boils on it."""
    frames = drifting(COUNT, 1, 3, SIZE, grain=True)
    guides = [np.rint(f * (1 - 0.03 * i)).astype(np.uint8) for i, f in enumerate(frames)]
    return guides, grainy(flickering([look(g) for g in guides], 8), 6)[0]


def clean() -> tuple[Frames, Frames]:
    """A look that is brighter or darker as a whole, and has no grain of its own, over a texture that pulses."""
    frames = drifting(COUNT, 1, 5, SIZE, grain=True)
    guides = [np.clip(np.rint(f * (1 + 0.1 * np.sin(1.3 * i))), 0, 255).astype(np.uint8) for i, f in enumerate(frames)]
    return guides, flickering([look(g) for g in guides], 6, 7)


CLIPS = {"passing": passing, "fading": fading, "clean": clean}
FILTERS: dict[str, Callable[[], Filter]] = {
    "window": lambda: window(radius=7),
    "window, wide": lambda: window(radius=15),
    "window, short": lambda: window(radius=3, texture_strength=0.5, texture_gain=0.5, keep_source_changes=0.5),
    "causal": causal,
}


def measured(name: str, clip: str) -> list[float]:
    """The mean correction of each block and channel, and how much it varies inside, in levels of 8 bits."""
    guides, looks = CLIPS[clip]()
    outputs = [f.astype(np.uint16) * 257 for f in looks]
    made = run(FILTERS[name](), samples(guides, outputs, cuts=(0, CUT)))
    found = []
    for at in SHOWN:
        change = (made[at].astype(np.float64) - outputs[at]) / 257
        blocks = change.reshape(SIZE[1] // BLOCK, BLOCK, SIZE[0] // BLOCK, BLOCK, 3)
        found += [blocks.mean((1, 3)).ravel(), blocks.std((1, 3)).ravel()]
    return [round(float(value), 3) for value in np.concatenate(found)]


def version_of(name: str) -> int:
    method: Any = FILTERS[name]()
    return int(method.version)


def followed(name: str) -> list[float]:
    """The mean flow of each block, and how much it varies inside, in pixels: in a picture that is large for it."""
    frames = drifting(2, 3, 2, (160, 128), grain=True)
    frames[1][40:80, 60:100] = frames[0][42:82, 64:104]  # something that moves by itself
    flow = FLOWS.load(name)()(*(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames))
    blocks = flow.astype(np.float64).reshape(8, 16, 10, 16, 2)
    return [round(float(v), 3) for v in np.concatenate([blocks.mean((1, 3)).ravel(), blocks.std((1, 3)).ravel()])]


def golden() -> dict[str, object]:
    found = {name: {"version": version_of(name)} | {c: measured(name, c) for c in CLIPS} for name in FILTERS}
    return {"opencv": cv2.__version__, **found, "flows": {name: followed(name) for name in GREY_FLOWS}}


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_makes_what_its_version_made(name: str, clip: str) -> None:
    held = json.loads(GOLDEN.read_text())
    levels = 0.02 if held["opencv"] == cv2.__version__ else 0.5  # another OpenCV has a flow of its own
    assert held[name]["version"] == version_of(name)
    assert measured(name, clip) == pytest.approx(held[name][clip], abs=levels)


@pytest.mark.parametrize("name", json.loads(GOLDEN.read_text())["flows"])
def test_a_flow_method_finds_what_it_found_when_the_versions_were_raised(name: str) -> None:
    held = json.loads(GOLDEN.read_text())
    pixels = 0.005 if held["opencv"] == cv2.__version__ else 0.5
    assert followed(name) == pytest.approx(held["flows"][name], abs=pixels)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden()) + "\n")
