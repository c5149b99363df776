"""Delivered pictures in training: enlarged as a render enlarges them, scored at full size, and shown pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from chain import TINY, quick_training, said
from clips import moving_frames, scene, write_clip, write_folder

import vidtrans as api
from vidtrans.commands.words import delivered_text
from vidtrans.data.dataset import Pair
from vidtrans.models.model_file import read_record
from vidtrans.rendering.enlarger import enlarge_frames
from vidtrans.training.delivered import deliver, summarise
from vidtrans.video.images.picture import read_picture, resize, write_picture

PAIRING: Any = SimpleNamespace(
    training_input=lambda frames, rng: frames[0],
    offsets=(0,),
    finishes=False,
    has_target=True,
    fills_holes=False,
    preview=lambda shown: shown,
    agreement=lambda s, o: None,
)


def darker(shown: np.ndarray, deep: bool = False) -> np.ndarray:
    return shown // 2


def pair_of(number: int, *, full: tuple[int, int] | None = (96, 64), shot: int = 0) -> Pair:
    """A pair whose target is half as bright as its input, at 48x32, and at full size unless that is None."""
    large = scene(*(full or (96, 64)), number)
    for radius in (20, 23, 26):  # lines that only the full size shows
        cv2.circle(large, (48, 32), radius, (20, 30, 40), 1, cv2.LINE_AA)
    names = [Path(f"{number}.{kind}.png").absolute() for kind in ("input", "target", "full", "full.target")]
    for path, picture in zip(
        names, (resize(large, 48, 32), resize(large // 2, 48, 32), large, large // 2), strict=True
    ):
        write_picture(path, picture)
    kept = (names[2], names[3]) if full else None
    return Pair((names[0],), names[1], "val", (0, shot), number, full=kept)


def test_outputs_are_enlarged_as_in_a_render_a_shot_at_a_time() -> None:
    pairs = [pair_of(0), pair_of(1), pair_of(2, full=None), pair_of(3, shot=1)]
    made = list(deliver(darker, PAIRING, pairs))
    assert len(made) == 3
    for part in (slice(0, 2), slice(2, 3)):
        sources = [read_picture(p.full[0]) for p in [pairs[i] for i in (0, 1, 3)][part] if p.full]
        expected = enlarge_frames([one.output for one in made[part]], sources, "auto", 1.0)
        assert all(np.array_equal(one.delivered, e) for one, e in zip(made[part], expected, strict=True))
    for one in made:
        assert np.array_equal(one.output, one.given // 2)
        assert one.delivered.shape == one.full_target.shape == one.bicubic.shape == (64, 96, 3)
        assert np.array_equal(one.bicubic, resize(one.output, 96, 64))


def test_scores_are_means_at_full_size_beside_those_of_a_bicubic_resize() -> None:
    found = summarise(darker, PAIRING, [pair_of(0), pair_of(1)], 7)
    assert found is not None
    assert (found.step, found.scores["pairs"], found.scores["size"]) == (7, 2, [96, 64])
    assert found.scores["psnr"] > found.scores["bicubic_psnr"]  # of a darker copy, detail of the source is right
    assert 0.5 < found.scores["sharpness"] < 1.5
    assert 0 < found.scores["ssim"] <= 1
    assert [[p.shape for p in row] for row in found.crops] == [[(64, 96, 3)] * 3] * 2
    assert summarise(darker, PAIRING, [pair_of(2, full=None)], 7) is None


@pytest.mark.usefixtures("one_thread")
def test_a_training_scores_and_shows_what_a_render_delivers(capsys: pytest.CaptureFixture[str]) -> None:
    frames = moving_frames(24, (96, 64))
    write_clip(Path("c.mp4"), frames)
    write_folder(Path("t"), [255 - f for f in frames], [f"{i:03}.png" for i in range(24)])
    settings = {"dataset": TINY["dataset"] | {"val_fraction": 0.25, "full_size_pairs": 2}}
    api.make_dataset("c.mp4", "d", pairing="aligned", target="t", settings=settings)
    table = api.train("d", "m.safetensors", settings=quick_training())
    found = table["delivered"]
    assert (found["pairs"], found["size"]) == (2, [96, 64])
    assert found.keys() == {"pairs", "size", "psnr", "ssim", "sharpness", "bicubic_psnr"}
    assert read_record(Path("m.safetensors")).training["delivered"] == found
    preview, cell = read_picture(Path("m.train/preview.png")), 48
    assert preview.shape[1] == 5 * cell + 6 * 6  # input, output and target, and two parts pixel by pixel
    text = delivered_text(found)
    assert "here 96x64" in Path("m.train/report.html").read_text()
    assert text in said(capsys, 0, "model", "show", "m.safetensors")
    for picture in Path("d/c.full").iterdir():
        picture.unlink()
    plain = api.train("d", "p.safetensors", settings=quick_training())
    assert "delivered" not in plain
    assert read_picture(Path("p.train/preview.png")).shape[1] == 3 * cell + 4 * 6
    assert "Delivered pictures" not in Path("p.train/report.html").read_text()
