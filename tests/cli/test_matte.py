"""``vidtrans matte`` as an artist would use it, with painted frames or a segmenter."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from chain import refuse, said, said_json
from clips import decode
from made_models import make_model
from things import FAST, clip_of, moving_thing, overlap, with_strokes, write_mask
from torch import Tensor, nn

from vidtrans.matting import object_mattes
from vidtrans.video.images.exr import read_exr
from vidtrans.video.images.still import PictureView

Capsys = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("one_thread")
COUNT = 8


@pytest.fixture
def mattes() -> list[np.ndarray]:
    """Write c.mkv and masks of its first and last frame; return all true mattes."""
    frames, mattes = moving_thing(COUNT)
    clip_of(frames)
    for frame in (0, COUNT - 1):
        write_mask(f"masks/{frame:03d}.png", mattes[frame])
    return mattes


FASTEST = ("--set", "matting.steps=2", "--set", "matting.size=96", "--set", "matting.window=96")


def matte(capsys: Capsys, *flags: object, fast: Sequence[object] = FASTEST) -> dict[str, Any]:
    return said_json(capsys, "matte", "c.mkv", *fast, *flags)


def test_one_painted_frame_gives_the_matte_of_the_clip(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    assert matte(capsys, "--frame", "0=masks/000.png", "--dry-run")["estimate"]["seconds"] > 0
    assert not Path("c.matte.mkv").exists()
    table = matte(capsys, "--frame", "0=masks/000.png", "--suggest", 2, fast=FAST)
    assert (table["output"], table["frames"], table["keyframes"]) == ("c.matte.mkv", COUNT, [0])
    made = decode(Path("c.matte.mkv"))[2]
    assert np.array_equal(made[0][..., 0] >= 128, mattes[0])
    assert all(np.ptp(frame, axis=2).max() == 0 for frame in made)
    assert min(overlap(a, b) for a, b in zip(made, mattes, strict=True)) > 0.3
    assert len(table["confidences"]) == COUNT
    assert len(table["suggested"]) == 2
    assert 0 not in table["suggested"]
    assert all(Path(f"c.matte.mkv.{name}.png").is_file() for name in ("painted", "sheet"))
    assert matte(capsys, "--frame", "0=masks/000.png", "--suggest", 2, fast=FAST)["cached"]
    text = said(capsys, 1, "matte", "c.mkv", *FAST, "--frame", "0=masks/000.png", "--suggest", 2, "--min-confidence", 1)
    assert "paint frame" in text  # there is too little confidence


def test_a_correction_changes_only_the_frames_up_to_its_neighbours(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    write_mask("middle.png", mattes[4])
    both = ("--frame", "2=two.png", "--frame", "4=middle.png")
    write_mask("two.png", mattes[2])
    matte(capsys, *both, "-o", "a.mkv")
    before = {path.name for path in Path(".vidtrans/matte").iterdir()}
    first = decode(Path("a.mkv"))[2]
    write_mask("six.png", mattes[6])
    matte(capsys, *both, "--frame", "6=six.png", "-o", "a.mkv")  # it replaces its own earlier result
    second = decode(Path("a.mkv"))[2]
    for n in range(5):
        assert np.array_equal(first[n], second[n])
    assert np.array_equal(second[6][..., 0] >= 128, mattes[6])
    made = {path.name for path in Path(".vidtrans/matte").iterdir()} - before
    assert len(made) == 3  # from 4 on and from 6 back, between them, and from 6 on


def test_an_interrupted_run_goes_on_to_the_same_bytes(
    capsys: Capsys, mattes: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_mattes, "BLOCK_FRAMES", 3)
    keys = ("--frame", "0=masks/000.png")
    matte(capsys, *keys, "-o", "a.mkv")
    [entry] = Path(".vidtrans/matte").iterdir()
    chunks = sorted(entry.glob("chunk-*.npz"))
    assert len(chunks) == 3
    for path in (*chunks[1:], entry / "meta.json"):
        path.unlink()
    shutil.rmtree(".vidtrans/render")
    shutil.rmtree(".vidtrans/infer")
    matte(capsys, *keys, "-o", "b.mkv")
    assert Path("a.mkv").read_bytes() == Path("b.mkv").read_bytes()


def test_strokes_on_a_frame_are_enough(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    painted = with_strokes(decode(Path("c.mkv"))[2][3], mattes[3])
    cv2.imwrite("p.png", painted[..., ::-1])
    matte(capsys, "--frame", "3=p.png", "-o", "m.mkv")
    assert overlap(decode(Path("m.mkv"))[2][3], mattes[3]) > 0.7


def test_mattes_are_the_layers_of_one_exr_sequence(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    mask = np.zeros((120, 160, 3), np.uint8)
    mask[mattes[0]] = (0, 0, 255)
    mask[4:30, 100:150] = (255, 0, 0)
    cv2.imwrite("two.png", mask[..., ::-1])
    flags = "--frame", "0=two.png", "--names", "egg=blue,wall-of-brick=red", "-o", "m.mkv", "--end", "3"
    matte(capsys, *flags, "--layers", "layers/%04d.exr")
    assert sorted(path.name for path in Path("layers").iterdir()) == [f"{n:04d}.exr" for n in range(3)]
    for name in ("egg", "wall-of-brick"):
        made = decode(Path(f"m.{name}.mkv"))[2]
        for frame in range(3):
            view = PictureView(layer=name, span=(0.0, 1.0))
            layer = read_exr(Path(f"layers/{frame:04d}.exr"), view).picture[..., 0] / 65535
            assert np.abs(layer - made[frame][..., 0] / 255).max() < 0.006
    assert "numbered EXR pictures" in refuse(capsys, 2, "matte", "c.mkv", *flags, "--layers", "layers.exr")


@pytest.mark.thorough
def test_several_things_have_a_matte_each_and_share_the_frame(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    mask = np.zeros((120, 160, 3), np.uint8)
    mask[mattes[0]] = (0, 0, 255)
    mask[4:30, 100:150] = (255, 0, 0)
    cv2.imwrite("two.png", mask[..., ::-1])
    table = matte(capsys, "--frame", "0=two.png", "--names", "egg=blue,wall=red", "-o", "m.mkv", fast=FAST)
    assert [own["output"] for own in table["things"].values()] == ["m.egg.mkv", "m.wall.mkv"]
    egg, wall = (decode(Path(f"m.{name}.mkv"))[2] for name in ("egg", "wall"))
    assert overlap(egg[0], mattes[0]) > 0.95
    assert max(int((a[..., 0].astype(int) + b[..., 0]).max()) for a, b in zip(egg, wall, strict=True)) <= 257


def test_a_shot_without_a_painted_frame_is_empty_and_told(capsys: Capsys) -> None:
    frames, mattes = moving_thing(COUNT)
    clip_of([*frames[:4], *(255 - frame for frame in frames[4:])])
    write_mask("m.png", mattes[0])
    Path("cuts.txt").write_text("4\n", encoding="utf-8")
    table = matte(capsys, "--frame", "0=m.png", "--cuts", "cuts.txt")
    made = decode(Path("c.matte.mkv"))[2]
    assert not any(frame.any() for frame in made[4:])
    assert table["confidences"][4:] == [None] * 4
    assert min(table["confidences"][:4]) > 0


def test_painted_pictures_are_never_replaced_by_sheets(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    painted = write_mask("m.mkv.painted.png", mattes[0]).read_bytes()
    refuse(capsys, 2, "matte", "c.mkv", *FAST, "--frame", "0=m.mkv.painted.png", "-o", "m.mkv")
    assert Path("m.mkv.painted.png").read_bytes() == painted


def test_mistakes_end_in_one_line(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    cv2.imwrite("empty.png", np.zeros((120, 160), np.uint8))
    cv2.imwrite("square.png", np.zeros((120, 120), np.uint8))
    dot = np.zeros((120, 160), np.uint8)
    dot[60, 80] = 255
    cv2.imwrite("dot.png", dot)
    first = ("--frame", "0=masks/000.png")
    for flags, status, words in (
        ((), 2, "nothing says what is cut out"),
        (("--frame", "masks/000.png"), 2, "not FRAME=PICTURE"),
        (("--frame", "99=masks/000.png"), 2, "the last frame"),
        ((*first, "--frame", "0=masks/007.png"), 2, "both painted on frame 0"),
        (("--frame", "0=nothing.png"), 3, "no such file"),
        (("--frame", "0=empty.png"), 3, "nothing is painted"),
        (("--frame", "0=square.png"), 3, "another shape"),
        (("--frame", "0=dot.png", "--set", "matting.size=64"), 3, "smaller than a pixel"),
        ((*first, "--names", "a=red", "--outside", "red"), 2, "two meanings"),
        ((*first, "--start", "3"), 2, "no painted frame lies in this part"),
        (("--keyframes", "nowhere"), 2, "no such folder"),
        ((*first, "--shard", "1/1"), 2, "it names a frame of one clip"),
        ((*first, "--with-colours", "--codec", "h264"), 2, "keeps no transparency"),
    ):
        assert words in refuse(capsys, status, "matte", "c.mkv", *FAST, *flags)


def test_a_matte_is_scored_beside_the_true_one(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    for n, true in enumerate(mattes):
        write_mask(f"truth/{n:03d}.png", true)
    shutil.copytree("truth", "worse")
    write_mask("worse/003.png", np.roll(mattes[3], 12, axis=1))
    table = said_json(capsys, "evaluate", "worse", "--matte", "truth", "-o", "s.json")
    assert table["worst"][0]["frame"] == 3
    assert table["worst"][1]["matte_region"] == 1
    expected = (COUNT - 1 + overlap(np.where(np.roll(mattes[3], 12, axis=1), 255, 0), mattes[3])) / COUNT
    assert table["matte_region"] == pytest.approx(expected, abs=1e-3)
    assert table["matte_boundary"] < 1
    assert table["matte_jitter"] > 0
    for n, true in enumerate(mattes):
        cv2.imwrite(f"truth/{n:03d}.png", true.astype(np.uint8))  # numbers of objects
    again = said_json(capsys, "evaluate", "worse", "--matte", "truth", "-o", "again.json")
    assert again["matte_region"] == table["matte_region"]
    assert "region J" in said(capsys, 0, "evaluate", "truth", "--matte", "truth", "-o", "s.png")
    assert "--matte alone" in refuse(capsys, 2, "evaluate", "worse", "--matte", "truth", "--labels", "voc")


LONG = 12


class Segmenter(nn.Module):
    """White where a picture is more orange than blue, after a blur."""

    def __init__(self) -> None:
        super().__init__()
        self.blur = nn.AvgPool2d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(20 * self.blur(x[:, :1] - x[:, 2:]) - 4)


@pytest.fixture
def segmenter(capsys: Capsys) -> Path:
    """A TorchScript segmenter, imported as its author's friend would."""
    for library in ("onnx", "onnxruntime"):
        pytest.importorskip(library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(Segmenter(), torch.rand(1, 3, 32, 32)), "net.pt")
    assert "--trust" in refuse(capsys, 2, "model", "import", "net.pt", "--pairing", "none", "-o", "seg.safetensors")
    command = ("model", "import", "net.pt", "--trust", "--pairing", "none", "--range", "0..1", "--size", "120")
    said(capsys, 0, *command, "-o", "seg.safetensors")
    return Path("seg.safetensors")


def test_a_segmenter_of_ones_own_gives_the_matte(
    segmenter: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_mattes, "BLOCK_FRAMES", 5)
    frames, mattes = moving_thing(LONG, hidden=range(6, 10))
    clip_of(frames)
    command = ("matte", "c.mkv", "--model", segmenter)
    dry = said_json(capsys, *command, "--dry-run")
    assert dry["dry_run"]
    table = said_json(capsys, *command)
    assert (table["output"], table["frames"], table["keyframes"]) == ("c.matte.mkv", LONG, [])
    made = decode(Path("c.matte.mkv"))[2]
    seen = [n for n in range(LONG) if n not in range(6, 10)]
    assert np.mean([overlap(made[n], mattes[n]) for n in seen]) > 0.9
    assert max(int(made[n].max()) for n in (7, 8)) < 64
    assert min(table["confidences"][n] for n in seen) > 0.6
    assert Path("c.matte.mkv.sheet.png").is_file()
    assert not Path("c.matte.mkv.painted.png").exists()
    assert said_json(capsys, *command)["cached"]
    wider = said_json(capsys, *command, "--grow", "3", "--overwrite")
    assert wider["frames_encoded"] == LONG
    assert decode(Path("c.matte.mkv"))[2][0].astype(int).sum() > made[0].astype(int).sum()
    cut = said_json(capsys, *command, "--with-colours", "-o", "cut.mov", "--end", "3")
    assert cut["alpha"]
    said(capsys, 0, "stylize", "c.mkv", "--mask", "t=c.matte.mkv", "--region", "t=identity", "-o", "s.mkv")


def test_what_is_no_segmenter_is_refused_in_a_line(capsys: Capsys) -> None:
    frames, mattes = moving_thing(3)
    clip_of(frames)
    write_mask("0.png", mattes[0])
    make_model("look.safetensors", "aligned", seed=3)
    make_model("hole.safetensors", "inpaint")
    for flags, status, text in (
        (("--model", "nowhere"), 3, "no model of this name"),
        (("--model", "identity"), 2, "it paints nothing"),
        (("--model", "look"), 3, "its pictures are coloured, and a matte is grey"),
        (("--model", "hole"), 2, "its input is more than the frame"),
        (("--model", "look", "--suggest", "2"), 2, "frames are not painted with --model"),
        (("--model", "look", "--frame", "0=0.png"), 2, "the model finds one thing by itself"),
        (("--model", "look", "--names", "a=red,b=blue"), 2, "the model finds one thing by itself"),
    ):
        assert text in refuse(capsys, status, "matte", "c.mkv", *flags, "-o", "m.mkv")
