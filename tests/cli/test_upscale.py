"""``--upscale``: a small picture comes to the size of the result with its source's detail, in any number of parts."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import said_json
from clips import decode, moving_frames, times
from directed_clip import lossless, same

from vidtrans.upscaling import MODES
from vidtrans.video.images.picture import write_picture

Capsys = pytest.CaptureFixture[str]
SMALL = ("--size", "32", "--codec", "ffv1", "--temporal", "off")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return lossless(tmp_path / "source.mkv", moving_frames(24, (96, 64), shots=(0, 15)))


def test_each_way_makes_another_picture_of_the_same_output(source: Path, tiny_model: Path, capsys: Capsys) -> None:
    command = ("stylize", source, "--model", tiny_model, *SMALL)
    plain = said_json(capsys, *command, "-o", "plain.mkv")
    pictures = {}
    for mode in MODES:
        table = said_json(capsys, *command, "--upscale", mode, "-o", f"{mode}.mkv")
        assert (table["frames_inferred"], table["frames"]) == (0, 24)
        pictures[mode] = decode(Path(f"{mode}.mkv"))[2]
        assert times(Path(f"{mode}.mkv")) == times(source)
    assert plain["frames_inferred"] == 24
    assert Path("plain.mkv").read_bytes() == Path("auto.mkv").read_bytes()
    for one, other in (("guided", "faithful"), ("faithful", "bicubic")):
        assert not same(pictures[one], pictures[other])
        assert np.abs(np.stack(pictures[one]).astype(int) - np.stack(pictures[other])).mean() < 12
    assert said_json(capsys, *command, "--upscale", "guided", "-o", "guided.mkv")["cached"]


def test_sharpness_is_for_taste(source: Path, tiny_model: Path, capsys: Capsys) -> None:
    made = []
    for flags in (("--upscale", "bicubic"), ("--sharpness", "0"), ("--sharpness", "0.5"), ()):
        said_json(
            capsys, "stylize", source, "--model", tiny_model, *SMALL, *flags, "--end", "6", "-o", "o.mkv", "--overwrite"
        )
        made.append(np.stack(decode(Path("o.mkv"))[2]).astype(int))
    bicubic, none, half, whole = made
    assert np.abs(none - bicubic).mean() < 0.6  # OpenCV resizes whole levels in other steps
    assert np.abs(2 * half - none - whole).mean() < 1
    assert np.abs(whole - bicubic).max() > 8


def test_chunks_and_ends_do_not_matter(source: Path, tiny_model: Path, capsys: Capsys) -> None:
    command = ("stylize", source, "--model", tiny_model, *SMALL, "--upscale", "guided")
    said_json(capsys, *command, "-o", "whole.mkv")
    said_json(capsys, *command, "-o", "chunks.mkv", "--set=rendering.chunk_frames=5", "--cache-dir", "other")
    said_json(capsys, *command, "-o", "part.mkv", "--start", "4", "--end", "13", "--cache-dir", "third")
    whole, chunks, part = (decode(Path(f"{name}.mkv"))[2] for name in ("whole", "chunks", "part"))
    assert same(whole, chunks)
    assert same(whole[4:13], part)


def test_at_the_size_of_the_source_nothing_is_enlarged(source: Path, tiny_model: Path, capsys: Capsys) -> None:
    made = []
    for mode in MODES:
        command = ("stylize", source, "--model", tiny_model, "--size", "source", "--codec", "ffv1", "--end", "6")
        said_json(capsys, *command, "--upscale", mode, "-o", f"{mode}.mkv")
        made.append(Path(f"{mode}.mkv").read_bytes())
    assert made[0] == made[1] == made[2]


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


def test_with_a_mask_the_source_is_untouched_outside(source: Path, tiny_model: Path, capsys: Capsys) -> None:
    matte = np.zeros((64, 96, 3), np.uint8)
    matte[:, 48:] = 255
    write_picture(Path("matte.png"), matte)
    command = ("stylize", source, "--model", tiny_model, *SMALL, "--upscale", "guided", "--mask", "matte.png")
    said_json(capsys, *command, "-o", "masked.mkv")
    said_json(capsys, *command[:-2], "-o", "whole.mkv")
    masked, whole, plain = (decode(Path(name))[2] for name in ("masked.mkv", "whole.mkv", str(source)))
    assert same([f[:, :48] for f in masked], [f[:, :48] for f in plain], within=1)
    assert same([f[:, 48:] for f in masked], [f[:, 48:] for f in whole], within=1)
