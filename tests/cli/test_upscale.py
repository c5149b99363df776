"""``--upscale``: a small picture comes to the size of the result with its source's detail, in renders of all kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chain import said, said_json
from clips import decode, moving_frames, times
from directed_clip import lossless, same
from made_models import make_model
from paintings import write

from vidtrans.upscaling import MODES
from vidtrans.video.images.picture import write_picture

Capsys = pytest.CaptureFixture[str]
SMALL = ("--size", "32", "--codec", "ffv1", "--temporal", "off")
COUNT = 8


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return lossless(tmp_path / "source.mkv", moving_frames(COUNT, (96, 64), shots=(0, 5)))


def test_each_way_makes_another_picture_of_the_same_output(film: Path, tiny_model: Path, capsys: Capsys) -> None:
    command = ("stylize", film, "--model", tiny_model, *SMALL)
    plain = said_json(capsys, *command, "-o", "plain.mkv")
    pictures = {}
    for mode in MODES:
        table = said_json(capsys, *command, "--upscale", mode, "-o", f"{mode}.mkv")
        assert (table["frames_inferred"], table["frames"]) == (0, COUNT)
        pictures[mode] = decode(Path(f"{mode}.mkv"))[2]
        assert times(Path(f"{mode}.mkv")) == times(film)
    assert plain["frames_inferred"] == COUNT
    assert Path("plain.mkv").read_bytes() == Path("auto.mkv").read_bytes()
    for one, other in (("guided", "faithful"), ("faithful", "bicubic")):
        assert not same(pictures[one], pictures[other])
        assert np.abs(np.stack(pictures[one]).astype(int) - np.stack(pictures[other])).mean() < 12
    assert said_json(capsys, *command, "--upscale", "guided", "-o", "guided.mkv")["cached"]


def test_pictures_of_sixteen_bits_keep_their_levels(tiny_model: Path, capsys: Capsys) -> None:
    ramp = np.linspace(0, 65535, 96 * 64).reshape(64, 96, 1).repeat(3, 2)
    write_picture(Path("deep.png"), ramp.astype(np.uint16))
    said_json(
        capsys, "stylize", "deep.png", "--model", tiny_model, "--size", "32", "--upscale", "guided", "-o", "o.png"
    )
    made = cv2.imread("o.png", cv2.IMREAD_UNCHANGED)
    assert made is not None
    assert made.dtype == np.uint16
    assert len(np.unique(made)) > 1000


@pytest.fixture
def source() -> Path:
    make_model("tone.safetensors", "aligned", seed=2)
    return lossless(Path("source.mkv"), moving_frames(COUNT, (96, 64), shots=(0, 5)))


def render(capsys: Capsys, output: str, *words: object, model: str = "tone", video: str = "source.mkv") -> list[Any]:
    said_json(capsys, "stylize", video, "--model", model, "-o", output, *SMALL, *words)
    return decode(Path(output))[2]


@pytest.mark.thorough
def test_what_is_not_painted_is_enlarged_too(source: Path, capsys: Capsys) -> None:
    for name, words in (("draft", ("--draft", 3)), ("growing", ("--strength", "0: 0, 7: 1"))):
        auto, bicubic = (render(capsys, f"{name}.{m}.mkv", *words, "--upscale", m) for m in ("auto", "bicubic"))
        assert not same(auto, bicubic)
        assert np.abs(np.stack(auto).astype(int) - np.stack(bicubic)).mean() < 16
    assert same(auto[:1], decode(source)[2][:1])  # where there is no strength


def test_outside_a_mask_the_source_is_untouched_to_the_bit(source: Path, capsys: Capsys) -> None:
    matte = np.zeros((64, 96, 3), np.uint8)
    matte[:, 48:] = 255
    write(Path("matte.png"), matte)
    made = render(capsys, "o.mkv", "--mask", "matte.png")
    assert same([frame[:, :48] for frame in made], [frame[:, :48] for frame in decode(source)[2]])
    assert not same([frame[:, 48:] for frame in made], [frame[:, 48:] for frame in decode(source)[2]], within=8)


def test_what_fills_a_hole_shows_nothing_of_what_was_there(source: Path, capsys: Capsys) -> None:
    make_model("fill.safetensors", "inpaint", {"mask_dilation": 0, "mask_feather": 0})
    matte = np.zeros((64, 96, 3), np.uint8)
    matte[8:56, 16:80] = 255
    write(Path("matte.png"), matte)
    frames = moving_frames(2, (96, 64))
    made = []
    for name in ("one", "other"):
        lossless(Path(f"{name}.mkv"), frames)
        made.append(render(capsys, f"{name}.o.mkv", "--mask", "matte.png", model="fill", video=f"{name}.mkv"))
        for frame in frames:
            frame[16:48:3, 24:72] = 255
    assert same([frame[16:48, 24:72] for frame in made[0]], [frame[16:48, 24:72] for frame in made[1]], within=1)


def test_footage_that_a_model_enlarges_stays_as_it_paints_it(source: Path, capsys: Capsys) -> None:
    make_model("twice.safetensors", "enlarge", {"factor": 2})
    for mode in ("auto", "bicubic"):
        said_json(
            capsys, "stylize", source, "--model", "twice", "--codec", "ffv1", "--upscale", mode, "-o", f"{mode}.mkv"
        )
    assert decode(Path("auto.mkv"))[2][0].shape == (128, 192, 3)
    assert Path("auto.mkv").read_bytes() == Path("bicubic.mkv").read_bytes()


def test_an_option_without_effect_is_reported(source: Path, capsys: Capsys) -> None:
    def notes(*words: object) -> str:
        return said(capsys, 0, "stylize", source, "-o", "o.mkv", "--overwrite", "--end", "2", *words)

    assert "--upscale guided has no effect: 'identity' returns" in notes("--model", "identity", "--upscale", "guided")
    for size, made_at in (("source", "96x64"), ("120x32", "120x32")):
        words = notes("--model", "tone", "--size", size, "--upscale", "clean")
        assert f"--upscale clean has no effect: pictures are made at {made_at}, which is not smaller" in words
    assert "no effect" not in notes("--model", "tone", "--size", "32", "--upscale", "clean")
    assert "no effect" not in notes("--model", "identity")
    soft = notes("--model", "tone", "--size", "32", "--upscale", "bicubic", "--sharpness", "0.5")
    assert "--sharpness has no effect: nothing is added to a bicubic resize" in soft
