"""Frames that come one by one are painted by chains of models, and in many looks, as ``stylize`` paints a clip."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clips import moving_frames, write_clip
from made_models import make_coded_model, make_grade, make_model

import vidtrans

SIZE = (64, 48)
OWN = {"size": "48"}  # nothing is enlarged: the faults of a whole clip are not known to a stream
LOOKS = {"looks": ["ink", "oil"]}


@pytest.fixture(autouse=True)
def frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Two shots of a clip of 25 frames a second, whose times are exact."""
    monkeypatch.chdir(tmp_path)
    frames = moving_frames(12, SIZE, (0, 6))
    write_clip(Path("c.mkv"), frames, codec="ffv1", pix_fmt="bgr0", rate=25, time_base=Fraction(1, 25))
    make_model("edges.safetensors", "edges")
    make_model("inks.safetensors", "look", LOOKS)
    make_coded_model("codes.safetensors")
    make_coded_model("frames.safetensors", "aligned", seed=3)
    make_grade("dark.cube")
    return frames


def equal(some: Any, others: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize(
    ("models", "rendering"),
    [
        (["inks", "dark.cube"], {"look": "0: ink, 9: oil", "stroke_size": "0: 0, 13: 1", "strength": "0: 0.2, 8: 1"}),
        (["codes"], {"look": "0: 7, 11: 3", "keep_colour": 0.5}),
        (["codes"], {"look": "shots:7", "cuts": "off"}),
        (["codes"], {"look": "p.png"}),
    ],
    ids=str,
)
def test_a_stream_is_painted_as_the_clip(
    models: list[str], rendering: dict[str, Any], frames: list[np.ndarray]
) -> None:
    cv2.imwrite("p.png", np.ascontiguousarray(frames[3][..., ::-1]))
    vidtrans.stylize("c.mkv", models, "made", codec="png", settings={"rendering": OWN | rendering})
    made = [cv2.imread(str(path))[..., ::-1] for path in sorted(Path("made").glob("*.png"))]
    model = vidtrans.load_model(models, settings={"rendering": OWN | rendering})
    assert equal(model.render(frames), made)
    assert not equal(made, frames)


def test_a_single_frame_is_painted_by_a_chain_and_in_a_look(frames: list[np.ndarray]) -> None:
    both = vidtrans.load_model(["edges", "dark.cube"], settings={"rendering": OWN})
    assert equal([both(frames[0])], list(both.render(frames[:1])))
    wide = np.ascontiguousarray(frames[0][:40])
    assert both(wide).shape == wide.shape  # the sizes of a chain follow each frame's
    looks = [vidtrans.load_model("codes", settings={"rendering": {"look": look}})(frames[0]) for look in ("7", "3")]
    assert not np.array_equal(*looks)
    moving = vidtrans.load_model("inks", settings={"rendering": {"look": "0: ink, 9: oil"}})
    with pytest.raises(vidtrans.UsageError, match=r"model\.render"):
        moving(frames[0])


@pytest.mark.parametrize(
    ("rendering", "why"),
    [
        ({"look": "0s: ink, 2s: oil"}, "numbers of frames"),
        ({"look": "gold"}, "gold"),
        ({"cuts": "cuts.txt"}, "needs a clip"),
        ({"drawing": "yes"}, "needs a clip"),
        ({"draft_step": 2}, "needs a clip"),
        ({"source_filter": "hflip"}, "needs a clip"),
    ],
    ids=str,
)
def test_what_a_stream_cannot_know_is_refused_before_frames_are_read(rendering: dict[str, Any], why: str) -> None:
    read = []
    with pytest.raises(vidtrans.UsageError, match=why) as error:
        vidtrans.load_model("inks").render((read.append(n) for n in range(3)), settings={"rendering": rendering})
    assert "\n" not in str(error.value)
    assert read == []
