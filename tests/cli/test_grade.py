"""``vidtrans grade``: a grade learned, rendered, and written for other programs."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode
from oddities import write_frames

from vidtrans.interop.cube import read_cube

COUNT = 6
Frames = list[np.ndarray]
Capsys = pytest.CaptureFixture[str]
SMALL = ("--nodes", "9")  # fitted in a tenth of the time of the usual 33


def film(frames: Frames) -> Frames:
    """A grade: curves, and a little of each channel in the others."""
    mixed = [np.clip((f / 255) @ np.array([[0.9, 0.05, 0], [0.1, 0.9, 0.1], [0, 0.05, 0.8]]), 0, 1) for f in frames]
    return [np.rint(255 * (0.06 + 0.85 * f ** np.array([0.85, 1.0, 1.1]))).astype(np.uint8) for f in mixed]


def pictures(folder: str, frames: Frames, ending: str = "png") -> Path:
    Path(folder).mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(f"{folder}/{number:03}.{ending}", frame[..., ::-1])
    return Path(folder)


def colourful(count: int = COUNT) -> Frames:
    """Frames with many colours, and edges that show where they lie."""
    rng = np.random.default_rng(0)
    wide = cv2.resize(rng.random((6, 12, 3)).astype(np.float32), (320, 160), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        at = (int(rng.integers(0, 320)), int(rng.integers(0, 160)))
        cv2.circle(wide, at, int(rng.integers(3, 16)), [float(v) for v in rng.random(3)], -1, cv2.LINE_AA)
    scene = np.rint(255 * np.clip(wide, 0, 1)).astype(np.uint8)
    return [scene[:120, 8 * i : 8 * i + 200] for i in range(count)]


@pytest.fixture
def sides() -> tuple[Path, Path]:
    frames = colourful()
    return pictures("before", frames), pictures("after", film(frames))


def test_pictures_before_and_after_make_a_model_that_renders_sixteen_bits_too(
    sides: tuple[Path, Path], capsys: Capsys
) -> None:
    text = said(capsys, 0, "grade", *sides, *SMALL)
    assert "after.grade.safetensors: " in text
    assert "next: vidtrans stylize VIDEO --model after.grade.safetensors" in text
    frames = colourful(9)[6:]
    clip = write_frames(Path("c.mkv"), frames, "ffv1", "bgr0")
    said(capsys, 0, "stylize", clip, "--model", "after.grade.safetensors", "--codec", "ffv1", "-o", "o.mkv")
    made = np.array(decode(Path("o.mkv"))[2], int)
    assert np.abs(made - film(frames)).mean() < 1.5
    assert "up to date" in said(capsys, 0, "grade", *sides, *SMALL)
    ramp = np.linspace(0, 65535, 640).astype(np.uint16)
    deep = [np.broadcast_to(ramp[None, :, None], (50, 640, 3)).copy()] * 3
    clip = write_frames(Path("deep.mkv"), deep, "ffv1", "gbrp16le")
    table = said_json(capsys, "stylize", clip, "--model", "after.grade", "--codec", "ffv1", "-o", "deep-o.mkv")
    assert (table["size"], table["depth"], table["temporal"]) == ([640, 50], 16, "off")
    with closing(av.open("deep-o.mkv")) as container:
        made = next(container.decode(video=0)).to_ndarray(format="rgb48le")
    assert len(np.unique(made[0, :, 0])) > 500


def test_clips_in_step_make_a_table_that_ffmpeg_reads(sides: tuple[Path, Path], capsys: Capsys) -> None:
    frames = colourful()
    clips = [write_frames(Path(f"{n}.mkv"), f, "ffv1", "bgr0") for n, f in (("b", frames), ("a", film(frames)))]
    table = said_json(capsys, "grade", *clips, "-o", "film.cube", *SMALL)
    assert table["frames"] == COUNT
    assert table["delta_e"] < 1.5
    assert read_cube(Path("film.cube")).nodes.shape == (9, 9, 9, 3)
    said(capsys, 0, "stylize", clips[0], "--model", "film", "--codec", "ffv1", "-o", "ours.mkv")
    theirs = ("-v", "error", "-i", "b.mkv", "-vf", "lut3d=film.cube", "-c:v", "ffv1", "theirs.mkv")
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *theirs], check=True)
    one, other = (np.array(decode(Path(f"{name}.mkv"))[2], float) for name in ("ours", "theirs"))
    assert 10 * np.log10(255**2 / np.mean((one - other) ** 2)) >= 45


def test_the_colours_of_a_still_that_shows_something_else(sides: tuple[Path, Path], capsys: Capsys) -> None:
    still = np.full((60, 80, 3), (60, 80, 120), np.uint8)
    cv2.imwrite("still.png", still[..., ::-1])
    assert "do not match" in refuse(capsys, 2, "grade", sides[0], "still.png")
    table = said_json(capsys, "grade", sides[0], "still.png", "--unpaired", *SMALL)
    assert any("cooler" in word for word in table["words"])
    assert "delta_e" not in table


@pytest.mark.thorough
def test_the_colours_of_footage_without_pairs(sides: tuple[Path, Path], capsys: Capsys) -> None:
    """Other frames of the same scene: all of its colours are brought over, not its tones alone."""
    others = pictures("others", film(colourful(12)[6:]))
    apart = {}
    for method in ("tones", "transport"):
        output = f"{method}.cube"
        command = ("grade", sides[0], others, "--unpaired", "--method", method, "-o", output, *SMALL)
        assert said_json(capsys, *command)["frames"] == COUNT
        said(capsys, 0, "stylize", sides[0] / "000.png", "--model", output, "-o", f"{method}.png")
        made = cv2.imread(f"{method}.png")[..., ::-1].astype(int)
        apart[method] = np.abs(made - film(colourful(1))[0]).mean()
    assert apart["transport"] < 0.7 * apart["tones"]
    assert "up to date" in said(capsys, 0, *command)


def test_mistakes_are_one_line(sides: tuple[Path, Path], capsys: Capsys) -> None:
    before, after = sides
    pictures("black", [np.zeros((120, 200, 3), np.uint8)] * COUNT)
    for arguments, status, line in (
        ((before, "none.png"), 3, "no such file"),
        ((before, after, "-o", "g.png"), 2, "a grade is a .safetensors or .cube file"),
        ((before, after, "--nodes", "1"), 2, "a table has 2 to 65"),
        ((before, after, "--method", "linear"), 2, "leave it out, or add --unpaired"),
        (("black", after), 2, "do not match"),
        ((before, after, "--unpaired", "--method", "best"), 2, "'best'"),
        ((before / "000.png", after), 2, "give as many pictures before as after"),
        ((__file__, after), 3, "test_grade.py"),
    ):
        assert line in refuse(capsys, status, "grade", *arguments)
    said(capsys, 0, "grade", "black", after, "--unpaired", *SMALL, "-o", "flat.safetensors")
