"""Rough drawings to clean lines, as a person types it: a dataset of a clip, a model, a photographed sketch."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import quick_training, said, said_json, tiny_flags
from clips import moving_frames, pictures_of, write_folder

import vidtrans as api
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.video.images.picture import read_picture, write_picture

Capsys = pytest.CaptureFixture[str]
MAKE = ("make-dataset", "--pairing", "simplify", "-o", "d", *tiny_flags("dataset"), "--set", "dataset.size=source")


def sketch() -> np.ndarray:
    """A circle in pencil on grey paper, (H, W, 3) uint8."""
    page = np.full((96, 128, 3), 190, np.uint8)
    cv2.circle(page, (64, 48), 30, (60, 60, 60), 2, cv2.LINE_AA)
    return page


def test_a_dataset_holds_the_clean_lines_of_a_clip_or_the_drawings_themselves(capsys: Capsys) -> None:
    frames = moving_frames(12, (128, 96))
    write_folder(Path("clip"), frames)
    said(capsys, 0, *MAKE, "clip")
    pairing = make_pairing("simplify", {})
    stored = pictures_of(Path("d/clip"))
    assert stored
    for name, picture in stored.items():
        assert np.array_equal(picture, pairing.stored(frames[int(name.removesuffix(".png"))]))
    write_folder(Path("drawings"), [np.roll(sketch(), 3 * n, axis=1) for n in range(4)])
    said(capsys, 0, *MAKE, "drawings", "--overwrite")
    for picture in pictures_of(Path("d/drawings")).values():
        assert {0, 255} <= set(picture.ravel().tolist())
        assert (picture == 255).mean() > 0.9  # the paper is white


def test_a_sketch_is_taken_as_it_is_and_gives_a_picture_of_its_size(capsys: Capsys) -> None:
    write_folder(Path("clip"), moving_frames(12, (128, 96)))
    said(capsys, 0, *MAKE, "clip")
    api.train("d", "tidy.safetensors", settings=quick_training(1) | {"generator": {"residual": True}})
    write_picture(Path("sketch.png"), sketch())
    assert said_json(capsys, "stylize", "sketch.png", "--model", "tidy.safetensors", "-o", "clean.png")["frames"] == 1
    assert read_picture(Path("clean.png")).shape == (96, 128, 3)
    said(capsys, 0, "sheet", "clip", "--pairing", "simplify", "-o", "seen.png")
