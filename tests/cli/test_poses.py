"""Poses drawn from keypoints: a dataset, a model, and another performer, as a person types it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chain import quick_training, refuse, said, said_json, tiny_flags
from clips import pictures_of, scene, write_clip, write_folder
from keypoints import waving, write_mediapipe, write_openpose, write_table

import vidtrans as api
from vidtrans.data.dataset import open_dataset
from vidtrans.video.keypoints.drawing import draw_people
from vidtrans.video.keypoints.people import BodyPlace
from vidtrans.video.keypoints.poses import PoseFrames, PoseView

Capsys = pytest.CaptureFixture[str]
SIZE, COUNT = (160, 120), 20
MAKE = ("make-dataset", "poses", "--pairing", "pose", "--target", "film", "-o", "d", *tiny_flags("dataset"))


def put_performer(missing: tuple[int, ...] = ()) -> None:
    """Write ``poses``, and the pictures ``film`` that they were found in."""
    write_openpose(Path("poses"), {n: [waving(n)] for n in range(COUNT) if n not in missing})
    write_folder(Path("film"), [scene(*SIZE, seed=n) for n in range(COUNT)], [f"{n:04d}.png" for n in range(COUNT)])


def test_a_dataset_draws_each_pose_beside_its_frame_and_records_whose_it_is(capsys: Capsys) -> None:
    put_performer()
    said(capsys, 0, *MAKE, "--set", "dataset.size=source")
    made = open_dataset(Path("d"))
    settings = made.pairing.settings
    assert settings.size == "160x120"
    view = PoseView(size=SIZE)
    poses = PoseFrames(Path("poses"), view)
    assert settings.body == str(BodyPlace.of(poses.people[0]).rounded())  # type: ignore[union-attr]
    drawn = pictures_of(Path("d/poses"))
    assert len(drawn) >= COUNT - 2
    for name, picture in drawn.items():
        number = int(name.removesuffix(".png"))
        assert np.array_equal(picture, draw_people(poses.people[:, number], SIZE))
        assert np.array_equal(pictures_of(Path("d/poses.target"))[name], scene(*SIZE, seed=number))


def test_frames_without_keypoints_are_left_out_by_their_numbers(capsys: Capsys) -> None:
    put_performer(missing=(5, 6, 11))
    said(capsys, 0, *MAKE, "--set", "dataset.size=source", "--set", "dataset.val_fraction=0")
    targets = pictures_of(Path("d/poses.target"))
    present = [n for n in range(COUNT) if n not in (5, 6, 11)]
    assert len(targets) == len(present)
    for number, picture in zip(present, targets.values(), strict=True):
        assert np.array_equal(picture, scene(*SIZE, seed=number))


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


def test_what_is_drawn_of_another_performer_stands_where_the_first_one_does() -> None:
    write_openpose(Path("poses"), {n: [waving(n)] for n in range(6)})
    write_openpose(Path("other"), {n: [waving(n, tall=300.0, x=500.0, ground=420.0)] for n in range(6)})
    me = PoseFrames(Path("poses"), PoseView(size=SIZE))
    fitted = PoseFrames(Path("other"), PoseView(size=SIZE, body=me.body))
    assert np.nanmax(np.abs(fitted.people - me.people)[..., :2]) < 0.5
    assert (fitted.read(2)[0].picture != me.read(2)[0].picture).mean() < 0.05


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
