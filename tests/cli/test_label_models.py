"""Label maps out: a person learns them from a clip and its maps, renders them, and scores them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json, vidtrans
from clips import write_clip, write_folder
from PIL import Image

import vidtrans as api
from vidtrans.models.model_file import read_record
from vidtrans.video.images.picture import read_picture

Capsys = pytest.CaptureFixture[str]
COUNT, SIZE = 12, (48, 32)
SKY, GROUND, BALL = (70, 130, 180), (152, 251, 152), (220, 20, 60)
COLOURS = "#4682b4 #98fb98 #dc143c"  # in the order of SKY, GROUND, BALL
QUICK = ("--steps", 6, "--set=training.crop_size=32", "--set=generator.channels=8", "--set=training.batch_size=2")
MAKE = ("--size", 32, "--set=dataset.val_block_size=2", "--set=dataset.val_gap=1")


def shown(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame and its label map: a ball that moves over the ground."""
    frame, labels = np.empty((SIZE[1], SIZE[0], 3), np.uint8), np.empty((SIZE[1], SIZE[0], 3), np.uint8)
    frame[:20], frame[20:], labels[:20], labels[20:] = (120, 150, 200), (80, 110, 60), SKY, GROUND
    for picture, colour in ((frame, (200, 60, 50)), (labels, BALL)):
        cv2.circle(picture, (6 + 3 * number, 18), 6, colour, -1)
    grain = np.random.default_rng(number).integers(0, 9, frame.shape)
    return (frame + grain).astype(np.uint8), labels


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    frames, maps = zip(*map(shown, range(COUNT)), strict=True)
    film, dataset, cache = folder / "film.mp4", folder / "film.dataset", ("--cache-dir", folder / ".vidtrans")
    write_clip(film, frames, rate=10)
    write_folder(folder / "maps", maps)
    segment = ("--target", folder / "maps", "--pairing", "segment", *MAKE)
    vidtrans("make-dataset", film, *segment, "-o", dataset, *cache)
    vidtrans("train", dataset, "-o", folder / "m.safetensors", *QUICK, *cache)
    return folder


@pytest.fixture
def film(made: Path) -> Path:
    shutil.copytree(made, Path(), dirs_exist_ok=True)
    return Path("film.mp4")


def test_a_clip_becomes_indexed_label_maps(film: Path, capsys: Capsys) -> None:
    held_out = read_record(Path("m.safetensors")).training["held_out"]
    assert set(held_out) == {"pairs", "pixel_accuracy", "class_accuracy", "mean_iou"}
    made = said_json(capsys, "stylize", film, "--model", "m.safetensors", "-o", "found", "--codec", "png")
    assert made["frames"] == COUNT
    with Image.open("found/000003.png") as picture:
        assert (picture.mode, picture.size) == ("P", SIZE)
        indices, palette = np.array(picture), picture.getpalette()
    assert palette is not None
    colours = {tuple(palette[3 * n : 3 * n + 3]) for n in range(3)}
    assert colours == {SKY, GROUND, BALL}
    assert indices.max() < 3
    said(capsys, 0, "stylize", film, "--model", "m.safetensors", "-o", "large.mkv", "--codec", "ffv1", "--end", 2)
    for frame in map(np.asarray, api.open_clip("large.mkv")):
        assert {tuple(c) for c in np.unique(frame.reshape(-1, 3), axis=0).tolist()} <= colours
    found = api.load_model("m.safetensors")(np.repeat(np.repeat(shown(0)[0], 3, axis=0), 3, axis=1))
    assert found.shape == (3 * SIZE[1], 3 * SIZE[0], 3)
    assert {tuple(c) for c in np.unique(found.reshape(-1, 3), axis=0).tolist()} <= colours
    text = said(capsys, 0, "stylize", film, "--model", "m.safetensors", "-o", "lossy.mp4", "--end", 2)
    assert "h264 mixes colours where the areas of a label map meet; ffv1 and png keep every label" in text


def test_perfect_maps_score_one_and_exchanged_classes_are_found(film: Path, capsys: Capsys) -> None:
    labels = ("--labels", COLOURS)
    table = said_json(capsys, "evaluate", "maps", "--reference", "maps", *labels, "--source", film)
    assert table["pixel_accuracy"] == table["class_accuracy"] == table["mean_iou"] == 1.0
    assert table["class_ious"] == [1.0] * 3
    assert table["label_flicker"] == table["label_flicker_reference"]
    assert table["permutation"] is None
    exchanged = []
    for number in range(COUNT):
        maps = shown(number)[1]
        sky, ground = (maps == SKY).all(axis=2), (maps == GROUND).all(axis=2)
        maps[sky], maps[ground] = GROUND, SKY
        exchanged.append(maps)
    write_folder(Path("exchanged"), exchanged)
    command = ("evaluate", "exchanged", "--reference", "maps", *labels, "-o", "scores.json")
    assert said_json(capsys, *command)["permutation"] == [1, 0, 2]
    assert len(json.loads(Path("scores.json").read_text())["series"]["mean_iou"]) == COUNT
    told = said(capsys, 0, "evaluate", "exchanged", "--reference", "maps", *labels, "-o", "scores.png")
    assert "classes seem to be exchanged" in told
    assert read_picture(Path("scores.png")).shape[1] > 900


def test_pixels_without_a_class_do_not_count(film: Path, capsys: Capsys) -> None:
    ignored = [shown(n)[1] for n in range(COUNT)]
    for maps in ignored:
        maps[:, 30:] = 0
    write_folder(Path("partly"), ignored)
    table = said_json(capsys, "evaluate", "maps", "--reference", "partly", "--labels", COLOURS)
    assert table["pixel_accuracy"] == 1.0
    assert sum(map(sum, table["confusion"])) == COUNT * 30 * SIZE[1]
    told = said(capsys, 0, "evaluate", "maps", "--reference", "partly", "--labels", COLOURS)
    assert "37.5% of its pixels have a colour of no class" in told


def test_a_labeller_reads_pictures_without_a_source(film: Path, capsys: Capsys) -> None:
    said(capsys, 0, "stylize", film, "--model", "m.safetensors", "--temporal", "off", "-o", "found", "--codec", "png")
    read = said_json(capsys, "evaluate", film, "--reference", "maps", "--labeller", "m.safetensors")
    maps = said_json(capsys, "evaluate", "found", "--reference", "maps", "--labels", COLOURS)
    assert read["labeller"] == "m"
    assert sorted(read["classes"]) == sorted(maps["classes"])
    assert read["pixel_accuracy"] == pytest.approx(maps["pixel_accuracy"], abs=0.02)


def test_mistakes_with_scores_of_labels_are_told(film: Path, capsys: Capsys) -> None:
    true = ("evaluate", "maps", "--reference", "maps")
    for arguments, status, what in (
        (("evaluate", "maps", "--labels", COLOURS), 2, "--labels: labels are compared with true ones"),
        (("evaluate", "maps"), 2, "give --source VIDEO"),
        ((*true, "--labels", "sky"), 2, "'sky' is no colour"),
        ((*true, "--labels", "#ff0000"), 2, "it names 1 class"),
        ((*true, "--labels", "#123456 #00ffff"), 3, "none of its pixels has"),
        ((*true, "--labels", COLOURS, "--labeller", "x"), 2, "its own classes"),
        ((*true, "--labels", COLOURS, "--dream"), 2, "leave out --dream"),
        ((*true, "--labeller", "identity"), 2, "it paints pictures"),
    ):
        assert what in refuse(capsys, status, *arguments, dry_run=False)


def test_mistakes_with_label_maps_are_told(film: Path, capsys: Capsys) -> None:
    make = ("make-dataset", film, "--pairing", "segment", *MAKE, "-o", "one.dataset", "--target")
    write_folder(Path("plain"), [np.full((32, 48, 3), 40, np.uint8)] * COUNT)
    assert "its label maps have 1 class" in refuse(capsys, 3, *make, "plain")
    rng = np.random.default_rng(0)
    photographs = [cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), SIZE, interpolation=cv2.INTER_CUBIC)] * COUNT
    write_folder(Path("photographs"), photographs, [f"{n}.jpg" for n in range(COUNT)])
    assert "no classes are found in it" in refuse(capsys, 3, *make, "photographs")
    write_folder(Path("tall"), [np.zeros((48, 32, 3), np.uint8)] * COUNT)
    assert "would be stretched" in refuse(capsys, 3, *make, "tall", "--set=pairing.palette=#000000 #ffffff")
    text = said(capsys, 0, *make, "maps", "--set=pairing.palette=#4682b4 #98fb98", "-o", "two.dataset")
    assert "of the pixels have colours of no class" in text
    text = refuse(capsys, 2, "train", "two.dataset", "--preset", "fast", *QUICK)
    assert "training.method=pix2pix: the targets of pairing 'segment' are label maps" in text
    said(capsys, 0, "make-dataset", film, "--pairing", "aligned", "--target", "maps", *MAKE, "-o", "pictures.dataset")
    text = refuse(capsys, 2, "train", "pictures.dataset", "--set=training.method=classes", *QUICK)
    assert "training.method=classes: the targets of pairing 'aligned' are pictures" in text


def test_compressed_label_maps_are_found_and_told(film: Path, capsys: Capsys) -> None:
    maps = [cv2.resize(shown(n)[1], (192, 128), interpolation=cv2.INTER_NEAREST) for n in range(COUNT)]
    write_clip(Path("maps.mp4"), maps, rate=10)
    make = ("make-dataset", film, "--pairing", "segment", *MAKE, "--target", "maps.mp4", "-o", "lossy.dataset")
    text = said(capsys, 0, *make)
    assert "maps.mp4: 3 classes were found" in text
    assert "compressed with loss" in text


@pytest.mark.thorough
def test_an_ablation_is_scored_by_a_labeller(film: Path, capsys: Capsys) -> None:
    flags = ("--target", film, "--pairing", "labels", "--set=pairing.classes=3", *MAKE, "-o", "painted.dataset")
    said(capsys, 0, "make-dataset", "maps", *flags)
    quick = (*QUICK, "--set=discriminator.channels=8", "--set=discriminator.num_layers=1", "--preset", "fast")
    train = ("train", "painted.dataset", "--ablate", "loss", "--labeller", "m.safetensors", *quick, "--steps", 1)
    rows = said_json(capsys, *train)["rows"]
    assert [row["name"] for row in rows] == ["l1", "gan", "cgan", "l1-gan", "l1-cgan"]
    for row in rows:
        assert 0 <= row["held_out"]["fcn_pixel_accuracy"] <= 1
        assert row["held_out"]["fcn_of_targets"] == rows[0]["held_out"]["fcn_of_targets"]
    assert said_json(capsys, *train)["cached"]
    assert "FCN" in said(capsys, 0, *train)
    labeller = ("--labeller", "m.safetensors")
    text = refuse(capsys, 2, "train", "film.dataset", "--sweep", "lr=1e-3,1e-4", *labeller, *QUICK)
    assert "are not label maps in the colours of m" in text
    assert "it compares the variants of --ablate" in refuse(capsys, 2, "train", "painted.dataset", *labeller)


def test_the_vote_takes_its_settings_without_its_name(film: Path, capsys: Capsys) -> None:
    command = ("stylize", film, "--model", "m.safetensors", "-o")
    said(capsys, 0, *command, "found", "--codec", "png", "--end", 4)
    other = said_json(capsys, *command, "found", "--codec", "png", "--end", 4, "--set=temporal.radius=2", "--overwrite")
    assert (other["temporal"], other["cached"], other["frames_encoded"]) == ("vote", False, 4)
    assert "cannot be carried along the motion" in refuse(capsys, 2, *command, "drafted.mp4", "--draft", 2)
    assert "it is not 256 colours" in refuse(capsys, 2, *command, "red.mp4", "--set=encoding.palette=red")


def test_training_goes_on_from_the_same_classes_only(film: Path, capsys: Capsys) -> None:
    flags = ("--target", "maps", "--pairing", "segment", *MAKE, "--set=pairing.palette=#98fb98 #4682b4 #dc143c")
    said(capsys, 0, "make-dataset", film, *flags, "-o", "other.dataset")
    text = refuse(capsys, 2, "train", "other.dataset", "--from", "m.safetensors", "-o", "n.safetensors", *QUICK)
    assert "the same in another order" in text
