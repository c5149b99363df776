"""Poses drawn from keypoints, and rough drawings: a dataset, a model, and a result, as a person types it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import quick_training, refuse, said, said_json, tiny_flags
from clips import moving_frames, pictures_of, scene, write_clip, write_folder
from keypoints import waving, write_mediapipe, write_openpose, write_table

import vidtrans as api
from vidtrans.data.dataset import open_dataset
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.video.images.picture import read_picture, write_picture
from vidtrans.video.keypoints import BodyPlace, PoseFrames, PoseView, draw_people

pytestmark = pytest.mark.usefixtures("one_thread")
Capsys = pytest.CaptureFixture[str]
SIZE, COUNT = (160, 120), 14
MAKE = ("make-dataset", "poses", "--pairing", "pose", "--target", "film", "-o", "d", *tiny_flags("dataset"))


def put_performer(missing: tuple[int, ...] = ()) -> None:
    write_openpose(Path("poses"), {n: [waving(n)] for n in range(COUNT) if n not in missing})
    write_folder(Path("film"), [scene(*SIZE, seed=n) for n in range(COUNT)], [f"{n:04d}.png" for n in range(COUNT)])


def test_a_dataset_draws_each_pose_beside_its_frame_and_records_whose_it_is(capsys: Capsys) -> None:
    missing = (5, 6, 11)  # frames without keypoints are left out
    put_performer(missing)
    said(capsys, 0, *MAKE, "--set", "dataset.size=source", "--set", "dataset.val_fraction=0")
    settings = open_dataset(Path("d")).pairing.settings
    assert settings.size == "160x120"
    poses = PoseFrames(Path("poses"), PoseView(size=SIZE))
    assert settings.body == str(BodyPlace.of(poses.people[0]).rounded())  # type: ignore[union-attr]
    drawn, targets = pictures_of(Path("d/poses")), pictures_of(Path("d/poses.target"))
    present = [n for n in range(COUNT) if n not in missing]
    for at, (number, picture, target) in enumerate(zip(present, drawn.values(), targets.values(), strict=True)):
        assert np.array_equal(picture, draw_people(poses.people[:, at], SIZE))
        assert np.array_equal(target, scene(*SIZE, seed=number))
    said(capsys, 0, "sheet", "poses#160x120", "-o", "sheet.png")
    assert said_json(capsys, "probe", "poses#160x120")["width"] == 160


def test_another_performer_of_another_size_and_detector_is_rendered_in_the_place_of_the_first(capsys: Capsys) -> None:
    put_performer()
    said(capsys, 0, *MAKE, "--set", "dataset.size=source")
    api.train("d", "me.safetensors", settings=quick_training(1))
    other = [waving(n, tall=300.0, x=500.0, ground=420.0) for n in range(6)]
    write_table(Path("other.csv"), {n: [points] for n, points in enumerate(other)})
    write_mediapipe(Path("shares.json"), other, (960, 540))
    table = said_json(capsys, "stylize", "other.csv", "--model", "me.safetensors", "-o", "out")
    assert table["frames"] == 6
    assert all(picture.shape == (120, 160, 3) for picture in pictures_of(Path("out")).values())
    assert said_json(capsys, "stylize", "other.csv", "--model", "me.safetensors", "-o", "out")["cached"]
    said(capsys, 0, "stylize", "shares.json#960x540", "--model", "me.safetensors", "-o", "film.mp4")


def test_what_gives_no_poses_is_refused_before_anything_is_written(capsys: Capsys) -> None:
    put_performer()
    assert "pairing 'pose': it needs a second clip — add --target VIDEO" in refuse(capsys, 2, *MAKE[:4], "-o", "d")
    said(capsys, 0, *MAKE)
    api.train("d", "me.safetensors", settings=quick_training(1))
    write_clip(Path("film.mp4"), [scene(*SIZE, seed=n) for n in range(4)])
    Path("bad.json").write_text('{"people": [{"pose_keypoints_2d": [1, 2]}]}')
    for source, why in (
        ("film.mp4", "the model paints poses, which are drawn from keypoints"),
        ("film", "the model paints poses, which are drawn from keypoints"),
        ("bad.json", "no keypoints can be read from it: 2 numbers, which are no triples"),
        ("gone.json", "no such file"),
        ("poses#wide", "'wide' says nothing about keypoints"),
    ):
        assert why in refuse(capsys, 3, "stylize", source, "--model", "me.safetensors", "-o", "x.mp4")
        assert not Path("x.mp4").exists()
    assert "pairing.size = 'wide'" in refuse(capsys, 2, *MAKE, "--set", "pairing.size=wide", "--overwrite")


def test_sheets_and_probes_show_keypoints_without_a_model(capsys: Capsys) -> None:
    put_performer()
    said(capsys, 0, "sheet", "poses#160x120", "-o", "sheet.png")
    assert said_json(capsys, "probe", "poses#160x120")["width"] == 160
    assert said_json(capsys, "probe", "poses")["frames"] == COUNT


MAKE_LINES = ("make-dataset", "--pairing", "simplify", "-o", "d", *tiny_flags("dataset"), "--set=dataset.size=source")


def sketch() -> np.ndarray:
    page = np.full((96, 128, 3), 190, np.uint8)
    cv2.circle(page, (64, 48), 30, (60, 60, 60), 2, cv2.LINE_AA)
    return page


@pytest.mark.thorough
def test_a_dataset_holds_the_clean_lines_of_a_clip_or_the_drawings_themselves(capsys: Capsys) -> None:
    frames = moving_frames(12, (128, 96))
    write_folder(Path("clip"), frames)
    said(capsys, 0, *MAKE_LINES, "clip")
    pairing = make_pairing("simplify", {})
    stored = pictures_of(Path("d/clip"))
    assert stored
    for name, picture in stored.items():
        assert np.array_equal(picture, pairing.stored(frames[int(name.removesuffix(".png"))]))
    api.train("d", "tidy.safetensors", settings=quick_training(1) | {"generator": {"residual": True}})
    write_picture(Path("sketch.png"), sketch())
    assert said_json(capsys, "stylize", "sketch.png", "--model", "tidy.safetensors", "-o", "clean.png")["frames"] == 1
    assert read_picture(Path("clean.png")).shape == (96, 128, 3)
    write_folder(Path("drawings"), [np.roll(sketch(), 3 * n, axis=1) for n in range(4)])
    said(capsys, 0, *MAKE_LINES, "drawings", "--overwrite")
    for picture in pictures_of(Path("d/drawings")).values():
        assert {0, 255} <= set(picture.ravel().tolist())
        assert (picture == 255).mean() > 0.9  # the paper is white
