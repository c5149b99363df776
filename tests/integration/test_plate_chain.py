"""Training and rendering on a plate, as a person does it: on its scene and on no other."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from chain import TINY, refuse, said, said_json, tiny_flags
from clips import decode, scene, write_clip, write_folder
from directed_clip import FLAGS, lossless
from plates import SIZE, before, dataset_of, panned

import vidtrans as api
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.model_file import load_generator
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.video.images.picture import write_picture

Capsys = pytest.CaptureFixture[str]

TRAINING = tiny_flags("generator", "discriminator", "training")
MAKING = tiny_flags("dataset")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datasets of a clip whose camera stands still ("seen") and of one that moves ("moving")."""
    folder = tmp_path_factory.mktemp("scenes")
    with contextlib.chdir(folder):
        dataset_of(before(1))
        dataset_of(panned(), "moving")
    return folder


@pytest.fixture
def seen(scenes: Path, tmp_path: Path) -> None:
    """The datasets of the scenes lie in the working folder."""
    for name in ("seen", "moving"):
        shutil.copytree(scenes / f"{name}.dataset", tmp_path / f"{name}.dataset")


def settings_with(**training: Any) -> dict[str, dict[str, Any]]:
    return {k: TINY[k] for k in ("generator", "discriminator")} | {"training": {**TINY["training"], **training}}


@pytest.fixture(scope="module")
def plated(scenes: Path) -> Path:
    """A model on the plate of the background 1."""
    settings = settings_with(steps=4, background_plate=True, motion_weight=4.0)
    api.train(scenes / "seen.dataset", scenes / "on.safetensors", settings=settings, cache_dir=scenes / "cache")
    return scenes / "on.safetensors"


def test_a_render_on_a_plate_keeps_the_background_and_needs_nothing_but_the_model(plated: Path, capsys: Capsys) -> None:
    source = before(1)[::-1]
    clip = lossless(Path("again.mkv"), source)
    said(capsys, 0, "stylize", clip, "--model", plated, "-o", "out.mkv", *FLAGS)
    made = decode(Path("out.mkv"))[2]
    generator, record = load_generator(plated)
    assert record.plate["size"] == [96, 64]
    assert len(made) == len(source)
    assert not np.array_equal(made[0], made[12])
    engine = TorchEngine(generator, resolve_device("cpu"))
    own = engine(np.stack([api_input(record, f) for f in source]))
    assert np.abs(own.astype(int) - np.stack(made)).max() <= 1

    mask = np.zeros((64, 96, 3), np.uint8)
    mask[:, :48] = 255
    matte = write_folder(Path(), [mask], ["m.png"]) / "m.png"
    said(capsys, 0, "stylize", clip, "--model", plated, "-o", "masked.mkv", "--mask", matte, *FLAGS)
    masked = decode(Path("masked.mkv"))[2][5]
    assert np.array_equal(masked[:, :48], made[5][:, :48])
    assert np.array_equal(masked[:, 48:], source[5][:, 48:])

    assert "plate" in said(capsys, 0, "model", "show", plated)
    said(capsys, 0, "try", clip, "--model", plated, "--frames", "1", "-o", "try.png")


def api_input(record: Any, frame: np.ndarray) -> np.ndarray:
    made: np.ndarray = make_pairing(record.pairing["name"], record.pairing["settings"]).input([frame])
    return made


def test_another_scene_is_refused_in_one_line_and_a_drawing_is_of_any(plated: Path, capsys: Capsys) -> None:
    write_clip(Path("other.mp4"), before(2))
    write_clip(Path("both.mp4"), [*before(1), *before(5)])
    write_picture(Path("photo.png"), before(7)[3])
    told = refuse(capsys, 3, "stylize", "other.mp4", "--model", plated)
    assert "other.mp4: frames 0 to 23" in told
    assert "not the scene that 'on' was trained on" in told
    assert "frames 24 to 47" in refuse(capsys, 3, "stylize", "both.mp4", "--model", plated)
    assert "frame 0" in refuse(capsys, 3, "stylize", "photo.png", "--model", plated)
    assert "24 frames" in said(capsys, 0, "stylize", "both.mp4", "--model", plated, "--end", "24", "-o", "part.mp4")
    paper = np.full((64, 96, 3), 255, np.uint8)
    cv2.circle(paper, (40, 30), 14, (0, 0, 0), 1, cv2.LINE_AA)
    write_picture(Path("drawn.png"), paper)  # a drawing is taken as of the scene
    said(capsys, 0, "stylize", "drawn.png", "--model", plated, "--drawn", "yes", "-o", "drawn.look.png")


def test_a_camera_that_moves_is_refused_and_a_plate_offered_where_one_would_do(seen: None, capsys: Capsys) -> None:
    plate = (*TRAINING, "--set", "background_plate=true")
    assert "the camera moves" in refuse(capsys, 3, "train", "moving.dataset", *plate)
    dataset_of([*before(1, 12), *before(2, 12)], "two")
    assert "shots differ" in refuse(capsys, 3, "train", "two.dataset", *plate)
    for i in range(8):
        write_picture(Path(f"photos/{i}.png"), scene(64, 64 if i else 80, i))
    api.make_dataset("photos", pairing="edges", settings={"dataset": {"size": "64", "drop_duplicates": False}})
    assert "several sizes" in refuse(capsys, 3, "train", "photos.dataset", *plate)
    few = ("--set", "steps=1")
    assert "--set background_plate=true" in said(capsys, 0, "train", "seen.dataset", *TRAINING, *few)
    assert "plate" not in said(capsys, 0, "train", "moving.dataset", *TRAINING, *few)


def test_from_goes_on_with_the_plate_of_the_new_pictures(plated: Path, capsys: Capsys) -> None:
    dataset_of(before(4))
    few = [*TRAINING, "--set", "training.steps=1", "--set", "training.lr=0.0", "--from", str(plated)]
    assert "it has a plate" in refuse(capsys, 2, "train", "seen.dataset", *few)
    said(capsys, 0, "train", "seen.dataset", *few, "--set", "training.background_plate=true", "-o", "new.safetensors")
    old, new = (load_generator(p)[0] for p in (plated, Path("new.safetensors")))
    assert np.abs(new.picture.astype(int) - scene(*SIZE, 4)).mean() < 8  # x264 between
    weights = dict(old.painter.named_parameters())
    assert all(torch.equal(p, weights[n]) for n, p in new.painter.named_parameters())


def test_the_whole_chain_names_another_scene_before_the_training(
    capsys: Capsys,
) -> None:
    write_clip(Path("seen.mp4"), before(1))
    flags = [*MAKING, *TRAINING, "--set=training.steps=1", "--set=background_plate=true", "-o", "out.mp4"]
    assert said_json(capsys, "run", "seen.mp4", "--apply", "seen.mp4", *flags)["frames"] == 24
    write_clip(Path("other.mp4"), before(2))
    write_clip(Path("new.mp4"), before(3))
    told = said(capsys, 3, "run", "new.mp4", "--apply", "other.mp4", *flags, "-o", "o.mp4")
    assert "other.mp4: frames 0 to 23: not the scene" in told
    assert not Path("new.safetensors").exists()  # it was said before the training
