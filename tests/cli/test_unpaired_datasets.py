"""``make-dataset --unpaired``: datasets of two or more domains, and what is said of bad ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import moving_frames, write_clip, write_folder

import vidtrans as api
from vidtrans.clips.indexing import open_clip
from vidtrans.data import domains
from vidtrans.data.dataset import open_dataset
from vidtrans.session import Context
from vidtrans.video.images.picture import picture_size, read_picture

Capsys = pytest.CaptureFixture[str]
ALL = "--set=dataset.drop_duplicates=false"


def boxed(frames: list[np.ndarray], lines: int) -> list[np.ndarray]:
    return [cv2.copyMakeBorder(f, lines, lines, 0, 0, cv2.BORDER_CONSTANT) for f in frames]


@pytest.fixture(scope="module")
def _clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    day = write_clip(folder / "day.mp4", moving_frames(40, (192, 108)))
    night = write_clip(folder / "night.mp4", [255 - f for f in moving_frames(36, (160, 90))])
    for clip in (day, night):
        open_clip(Context(folder / ".vidtrans"), clip)
    return folder


@pytest.fixture(autouse=True)
def clips(_clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put two clips here, and a cache with what was read of them; look for one in the other at a few frames only."""
    monkeypatch.setattr(domains, "NUM_SAMPLES", 6)
    shutil.copytree(_clips, Path(), dirs_exist_ok=True)


def make(capsys: Capsys, *arguments: object) -> str:
    return said(capsys, 0, "make-dataset", *arguments, "-o", "d", "--overwrite")


def test_two_clips_make_a_dataset_of_two_domains(capsys: Capsys) -> None:
    table = said_json(capsys, "make-dataset", "day.mp4", "--unpaired", "night.mp4", ALL, "--size", "48")
    assert (table["output"], table["pairing"], table["shots"]) == ("day-night.dataset", "unpaired", 2)
    assert [d["name"] for d in table["domains"]] == ["day", "night"]
    assert all(d["held_out"] > 0 for d in table["domains"])
    dataset = open_dataset(Path("day-night.dataset"))
    assert dataset.preset == "unpaired"
    assert [s["domain"] for s in dataset.sources] == [0, 1]
    assert {(p.domain, picture_size(p.target)) for p in dataset.pairs} == {(0, (85, 48)), (1, (85, 48))}
    assert [sum(p.domain == k for p in dataset.pairs) for k in (0, 1)] == [d["frames"] for d in table["domains"]]
    assert said_json(capsys, "make-dataset", "day.mp4", "--unpaired", "night.mp4", ALL, "--size", "48")["cached"]
    words = said(capsys, 0, "make-dataset", "day.mp4", "--unpaired", "night.mp4", ALL, "--size", "48")
    assert "of 'day' to train on and" in words
    assert "up to date" in words
    why = refuse(capsys, 2, "train", "day-night.dataset", "--set", "training.method=pix2pix")
    assert "training.method=pix2pix: it learns from pairs, and this dataset has domains without any (day, night)" in why


def test_folders_of_clips_globs_and_pictures_are_domains_numbered_or_named(capsys: Capsys) -> None:
    for i in (1, 2):
        Path("summer").mkdir(exist_ok=True)
        write_clip(Path(f"summer/{i}.mp4"), moving_frames(12, (64, 48), shots=(0, i + 3)))
    write_folder(Path("paintings"), [np.roll(f, 9, 0) for f in moving_frames(5, (64, 48))])
    table = said_json(capsys, "make-dataset", "summer", "--unpaired", "n*.mp4", "--unpaired", "paintings")
    assert table["output"] == "summer-night-paintings.dataset"
    dataset = open_dataset(Path(table["output"]))
    assert [s["domain"] for s in dataset.sources] == [0, 0, 1, 2]
    made = api.make_dataset("summer", "api", unpaired=["n*.mp4", "paintings"])
    assert made["domains"] == table["domains"]
    more = ("day.mp4", "--unpaired", "night.mp4", "--size", "32", "-o", "several")
    several = said_json(capsys, "make-dataset", "summer/1.mp4", *more)
    assert [d["name"] for d in several["domains"]] == ["1", "night"]
    assert [s["domain"] for s in open_dataset(Path("several")).sources] == [0, 0, 1]
    write_folder(Path("other/day"), moving_frames(6, (64, 48), shots=(0, 3))[3:])
    table = said_json(capsys, "make-dataset", "day.mp4", "--unpaired", "other/day", "--size", "32")
    assert [d["name"] for d in table["domains"]] == ["day", "day-2"]
    names = ("--size", "32", '--set=pairing.domains=["sun","moon"]')
    table = said_json(capsys, "make-dataset", "day.mp4", "--unpaired", "night.mp4", *names, "-o", "named")
    assert [d["name"] for d in table["domains"]] == ["sun", "moon"]
    assert open_dataset(Path("named")).pairing_table["settings"] == {"domains": ["sun", "moon"]}


def test_a_dry_run_makes_nothing_and_a_deleted_picture_stays_deleted(capsys: Capsys) -> None:
    part = ("--start", "10", "--end", "30", "--size", "32")
    wanted = ("make-dataset", "day.mp4", "--unpaired", "night.mp4", *part, "-o", "d")
    dry = said_json(capsys, *wanted, "--dry-run")
    assert not Path("d").exists()
    made = said_json(capsys, *wanted)
    assert dry["domains"] == made["domains"]
    assert [(s["first"], s["stop"]) for s in open_dataset(Path("d")).sources] == [(10, 30), (10, 30)]
    lost = open_dataset(Path("d")).pairs[-1].target
    lost.unlink()
    assert said_json(capsys, *wanted)["domains"][1]["frames"] == made["domains"][1]["frames"] - 1
    assert said_json(capsys, *wanted, "--restore")["domains"] == made["domains"]
    assert lost.is_file()
    other = ("make-dataset", "night.mp4", "--unpaired", "day.mp4", "-o", "d")
    assert "made from other inputs, by another command" in refuse(capsys, 2, *other)
    why = refuse(capsys, 2, *wanted[:4], "-o", "e", "--start", "38")
    assert "no frames of night.mp4 lie between" in why


def test_single_pictures_are_held_out_singly(capsys: Capsys) -> None:
    rng = np.random.default_rng(3)
    pictures = [cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (64, 48)) for _ in range(20)]
    write_folder(Path("photos"), pictures)
    table = said_json(capsys, "make-dataset", "day.mp4", "--unpaired", "photos", "--size", "32", "-o", "d")
    assert table["domains"][1] == {"name": "photos", "frames": 20, "held_out": 2}
    write_folder(Path("one"), pictures[:1])
    words = make(capsys, "photos", "--unpaired", "one")
    assert "warning: domain 'one' has one picture: a network can only learn to paint that picture" in words


def test_a_sheet_shows_every_domain_under_its_name(capsys: Capsys) -> None:
    for name, channels in (("red", (0, 1)), ("blue", (2, 1))):
        frames = [np.zeros((48, 64, 3), np.uint8) for _ in range(9)]
        for i, frame in enumerate(frames):
            frame[..., channels[0]], frame[:, 3 * i :, channels[1]] = 255, 80
        write_folder(Path(name), frames)
    make(capsys, "red", "--unpaired", "blue", ALL, "--set=dataset.min_sharpness=0")
    (Path("d") / "blue" / "000003.png").unlink()
    assert said_json(capsys, "sheet", "d", "-n", "8", "-o", "s.png")["frames"] == 8
    sheet = read_picture(Path("s.png")).astype(int)
    half = sheet.shape[1] // 2
    red, blue = (sheet[..., channel] > 200 for channel in (0, 2))
    assert (red & ~blue)[:, :half].mean() > 0.2
    assert (blue & ~red)[:, half:].mean() > 0.2
    assert not (red & ~blue)[:, half:].any()
    said(capsys, 0, "sheet", "d", "-n", "0", "-o", "all.png")
    assert picture_size(Path("all.png"))[1] > picture_size(Path("s.png"))[1]


def test_black_bars_of_one_domain_are_cut_off_and_said(capsys: Capsys) -> None:
    frames = moving_frames(24, (192, 108), shots=(0, 5))
    write_clip(Path("film.mp4"), boxed([255 - f for f in frames], 24))
    words = make(capsys, "day.mp4", "--unpaired", "film.mp4", "--size", "source", ALL)
    left_out = "black bars are left out, 26 lines above and 26 below (dataset.crop_bars=false keeps them)"
    assert f"film.mp4: {left_out}" in words
    film = next(p for p in open_dataset(Path("d")).pairs if p.domain == 1)
    assert picture_size(film.target) == (192, 104)
    assert read_picture(film.target)[[0, -1]].min() > 10
    assert open_dataset(Path("d")).sources[1]["bars"] == [0, 26, 0, 26]
    words = make(capsys, "day.mp4", "--unpaired", "film.mp4", "--size", "source", ALL, "--set=dataset.crop_bars=false")
    assert "warning: film.mp4 has black bars, 26 lines above and 26 below, and networks learn bars first" in words
    assert read_picture(Path("d/film/000003.png"))[:20].max() < 20


def test_one_domain_twice_is_refused_and_its_copy_warned_about(capsys: Capsys) -> None:
    Path("copy.mp4").write_bytes(Path("day.mp4").read_bytes())
    for other in ("day.mp4", "copy.mp4"):
        why = refuse(capsys, 2, "make-dataset", "night.mp4", "day.mp4", "--unpaired", other)
        assert f"{other}: its content is that of day.mp4, which is in domain 'night'" in why
    frames = moving_frames(40, (192, 108))
    write_clip(Path("again.mp4"), frames, options={"crf": "30"})
    write_clip(Path("boxed.mp4"), boxed(frames, 20))
    for other in ("again.mp4", "boxed.mp4"):
        words = make(capsys, "day.mp4", "--unpaired", other)
        assert f"warning: {other} shows" in words
        assert "from equal domains a network learns to copy its input" in words


def test_very_different_sizes_shapes_and_lengths_are_said(capsys: Capsys) -> None:
    write_clip(Path("small.mp4"), moving_frames(20, (64, 48), shots=(0, 3)))
    words = make(capsys, "day.mp4", "--unpaired", "small.mp4")
    assert "the short side of 'small' is 48 pixels, which are never enlarged, and that of 'day' 108" in words
    assert "--size 48 stores both alike" in words
    assert "warning" not in make(capsys, "day.mp4", "--unpaired", "small.mp4", "--size", "48")
    write_clip(Path("tall.mp4"), [np.ascontiguousarray(f.transpose(1, 0, 2)) for f in moving_frames(20, (192, 108))])
    words = make(capsys, "day.mp4", "--unpaired", "tall.mp4")
    assert "a training crop fits in every domain: of 'day' it shows 56% of a picture at most (108x108)" in words
    words = make(capsys, "day.mp4", "--unpaired", "night.mp4", "--size", "96x96")
    assert "--size 96x96 stretches day.mp4 (192x108)" in words
    write_clip(Path("short.mp4"), [255 - f for f in moving_frames(2, (192, 108))])
    words = make(capsys, "day.mp4", "--unpaired", "short.mp4", ALL)
    assert "'day' has 24 frames to learn from and 'short' 2: each of these is seen 12 times as often" in words


def test_what_makes_pairs_and_domains_that_are_empty_or_missing_are_refused(capsys: Capsys) -> None:
    Path("empty").mkdir()
    night = ("--unpaired", "night.mp4")
    for arguments, status, why in (
        (("--unpaired", "empty"), 3, "empty: no pictures in this folder"),
        (("--unpaired", "no.mp4"), 3, "no.mp4: no such file"),
        (("--unpaired", "x*.mp4"), 2, "nothing matches it"),
        ((*night, "--preset", "edges"), 2, "--unpaired: pairing 'edges' makes pairs"),
        ((*night, "--pairing", "sketch"), 2, "--unpaired: pairing 'sketch' makes pairs"),
        (("--pairing", "unpaired"), 2, "pairing 'unpaired': it needs a second domain"),
        ((*night, "--target", "night.mp4"), 2, "--target: it is for pairs"),
        ((*night, '--set=pairing.domains=["a","b","c"]'), 2, "it names 3 domains, and there are 2"),
    ):
        assert why in refuse(capsys, status, "make-dataset", "day.mp4", *arguments)
    twice = said(capsys, 2, "make-dataset", "day.mp4", *night, '--set=pairing.domains=["a","a"]')
    assert "needs two names or more" in twice
    Path("vidtrans.toml").write_text('[pairing]\nname = "edges"\n')  # is for datasets with pairs
    assert "of 'night' to train on" in make(capsys, "day.mp4", *night)
