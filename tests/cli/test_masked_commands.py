"""``--mask`` and ``--mask not:…`` of other commands than ``stylize``: flicker, corrections, paint, dreams."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, write_clip, write_folder
from directed_clip import halves, lossless, same
from dreams import make_dreamer
from paintings import EXACT, clip_and_keys, write
from PIL import Image

pytestmark = pytest.mark.usefixtures("one_thread")
Capsys = pytest.CaptureFixture[str]
COUNT = 12
FFV1 = ("--codec", "ffv1")


def masked(inside: list[np.ndarray], outside: list[np.ndarray], mattes: list[np.ndarray]) -> list[np.ndarray]:
    shares = [matte / 255 for matte in mattes]
    return [np.rint(o + m * (i.astype(float) - o)) for i, o, m in zip(inside, outside, shares, strict=True)]


def frames(path: str) -> list[np.ndarray]:
    return decode(Path(path))[2]


def flickering(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [np.clip(f.astype(int) + rng.integers(-20, 20), 0, 255).astype(np.uint8) for f in moving_frames(count)]


def test_flicker_is_filtered_where_the_mask_is_white(capsys: Capsys) -> None:
    flickers = flickering(COUNT)
    lossless(Path("p.mkv"), flickers)
    lossless(Path("m.mkv"), halves(COUNT))
    command = ("deflicker", "p.mkv", *FFV1, "--set=temporal.keep_source_changes=0", "-o")
    said(capsys, 0, *command, "all.mkv")
    said(capsys, 0, *command, "in.mkv", "--mask", "m.mkv")
    said(capsys, 0, *command, "out.mkv", "--mask", "not:m.mkv")
    assert not same(frames("all.mkv"), flickers, within=4)
    assert same(frames("in.mkv"), masked(frames("all.mkv"), flickers, halves(COUNT)))
    assert same(frames("out.mkv"), masked(flickers, frames("all.mkv"), halves(COUNT)), within=1)
    assert said_json(capsys, *command, "in.mkv", "--mask", "m.mkv")["cached"]
    assert "other inputs or options" in refuse(capsys, 2, *command, "in.mkv", "--mask", "not:m.mkv")


def test_a_correction_is_seen_where_the_mask_is_white(capsys: Capsys) -> None:
    lossless(Path("c.mkv"), moving_frames(COUNT))
    said(capsys, 0, "stylize", "c.mkv", "--model", "identity", "-o", "o.mkv", *EXACT)
    before = frames("o.mkv")
    picture = before[5].copy()
    picture[10:20, 30:54] = (250, 20, 200)
    write(Path("fixes/0005.png"), picture)
    mask = np.zeros((48, 64, 3), np.uint8)
    mask[:, 42:] = 255
    write_folder(Path(), [mask], ["m.png"])
    command = ("fix", "o.mkv", "--painted", "fixes", "--mask", "m.png", "-o")
    said(capsys, 0, *command, "f.mkv")
    after = frames("f.mkv")
    assert same([a[:, :42] for a in after], [b[:, :42] for b in before])
    assert np.abs(after[5][12:18, 44:52].astype(float) - (250, 20, 200)).mean() < 2
    write(Path("more/0008.png"), np.where(np.arange(64)[None, :, None] < 8, np.uint8(9), after[8]))
    said(capsys, 0, "fix", "f.mkv", "--painted", "more", "--mask", "m.png", "-o", "g.mkv")
    assert same([g[:, :42] for g in frames("g.mkv")], [b[:, :42] for b in before])
    text = refuse(capsys, 2, "fix", "f.mkv", "--painted", "more", "-o", "h.mkv")
    assert "whose corrections have another mask" in text


def test_paint_is_seen_on_either_side_of_a_mask(capsys: Capsys) -> None:
    clip_and_keys()
    lossless(Path("m.mkv"), halves(len(frames("c.mkv"))))
    made = {}
    for name, mask in (("all", ()), ("in", ("--mask", "m.mkv")), ("out", ("--mask", "not:m.mkv"))):
        paint = ("propagate", "c.mkv", "--keyframes", "keys", "--minutes", "0")
        said(capsys, 0, *paint, "-o", f"{name}.mkv", *FFV1, *mask)
        made[name] = frames(f"{name}.mkv")
    source = frames("c.mkv")
    assert same(made["in"], masked(made["all"], source, halves(len(source))), within=1)
    assert same(made["out"], masked(source, made["all"], halves(len(source))), within=1)


def test_a_dream_is_seen_within_a_mask_and_its_clip_goes_on_around_it(capsys: Capsys) -> None:
    model = make_dreamer(Path("d.safetensors"), context_frames=2)
    write_clip(Path("c.mkv"), moving_frames(COUNT), codec="ffv1", pix_fmt="bgr0")
    lossless(Path("m.mkv"), halves(COUNT, step=3))
    flags = ("--start", "2", *FFV1, "--set=rendering.chunk_frames=3")
    command = ("dream", "c.mkv", "--model", model, "--frames", "14", *flags, "-o")
    said(capsys, 0, *command, "all.mkv")
    warning = said(capsys, 0, *command, "in.mkv", "--mask", "m.mkv")
    assert "ends" in warning
    assert "its last frame is seen around the rest" in warning
    at = [min(4 + n, COUNT - 1) for n in range(14)]  # the seed is frames 2 and 3
    around, mattes = ([one[n] for n in at] for one in (frames("c.mkv"), halves(COUNT, step=3)))
    assert same(frames("in.mkv"), masked(frames("all.mkv"), around, mattes), within=1)
    said(capsys, 0, *command, "part.mkv", "--mask", "m.mkv", "--frames", "9", "--cache-dir", "other")
    assert same(frames("part.mkv"), frames("in.mkv")[:9])
    more = ("--mask", "m.mkv", "--frames", "18", "--cache-dir", "other", "--overwrite")
    assert said_json(capsys, *command, "part.mkv", *more)["frames_inferred"] == 9
    assert "does not loop" in refuse(capsys, 2, *command, "l.mkv", "--mask", "m.mkv", "--loop")
    assert said_json(capsys, *command, "in.mkv", "--mask", "m.mkv")["cached"]
    text = refuse(capsys, 2, "dream", "noise", "--model", model, "--frames", "2", "--mask", "m.mkv", "-o", "n.mkv")
    assert "noise has nothing around it" in text


def in_numbers(mask: np.ndarray) -> Image.Image:
    """A mask as segmenters write it: the number 2 in a palette, where the mask is white."""
    picture = Image.fromarray(np.where(mask[..., 0] >= 128, 2, 0).astype(np.uint8), "P")
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    return picture


@pytest.mark.parametrize(
    "command",
    [
        ("stylize", "in.mkv", "--model", "invert.cube", "--mask", "{}"),
        ("stylize", "in.mkv", "--mask", "a={}", "--region", "a=invert.cube", "--rest", "keep"),
        pytest.param(
            ("stylize", "in.mkv", "--model", "invert.cube", "--strength", "mask", "--mask", "not:{}"),
            marks=pytest.mark.thorough,
        ),
        ("deflicker", "in.mkv", "--set=temporal.keep_source_changes=0", "--mask", "{}"),
        pytest.param(
            ("propagate", "in.mkv", "--keyframes", "keys", "--minutes", "0", "--mask", "{}"),
            marks=pytest.mark.thorough,
        ),
    ],
    ids=["stylize", "region", "strength", "deflicker", "propagate"],
)
def test_object_numbers_do_what_white_does(command: tuple[str, ...], capsys: Capsys) -> None:
    pictures, masks = flickering(4), [np.where(m >= 128, 255, 0).astype(np.uint8) for m in halves(4, step=4)]
    lossless(Path("in.mkv"), pictures)
    names = [f"{n:04d}.png" for n in range(4)]
    write_folder(Path("white"), masks, names)
    Path("numbers").mkdir()
    for name, mask in zip(names, masks, strict=True):
        in_numbers(mask).save(Path("numbers") / name)
    inverse = "LUT_3D_SIZE 2\n" + "\n".join(f"{1 - r} {1 - g} {1 - b}" for b in (0, 1) for g in (0, 1) for r in (0, 1))
    Path("invert.cube").write_text(inverse)
    write(Path("keys/0001.png"), 255 - pictures[1])
    made = {}
    for name in ("white", "numbers"):
        told = said(capsys, 0, *(one.replace("{}", name) for one in command), *FFV1, "-o", f"{name}.mkv")
        assert ("its colours are objects: all but #000000 is inside" in told) == (name == "numbers")
        made[name] = frames(f"{name}.mkv")
    assert same(made["numbers"], made["white"])


def test_a_folder_of_pictures_of_several_sizes_has_one_kind_of_masks(capsys: Capsys) -> None:
    """A frame of low levels is dark, because another one is white."""
    sizes = [(64, 48), (48, 48), (48, 64)]
    write_folder(Path("in"), [np.full((h, w, 3), 200, np.uint8) for w, h in sizes])
    masks = [np.zeros((h, w), np.uint8) for w, h in sizes]
    for mask, value in zip(masks, (1, 255, 2), strict=True):
        mask[10:30, 10:30] = value
    write_folder(Path("m"), masks)
    Path("black.cube").write_text("LUT_3D_SIZE 2\n" + "0 0 0\n" * 8)
    told = said(capsys, 0, "stylize", "in", "--model", "black.cube", "--mask", "m", "--codec", "png", "-o", "o")
    assert "mask" not in told
    read = [cv2.imread(f"o/{n}.png")[20, 20, 0] for n in range(3)]
    assert [abs(int(value) - wanted) <= 2 for value, wanted in zip(read, (200, 0, 200), strict=True)] == [True] * 3


def test_a_mask_without_a_file_is_refused(capsys: Capsys) -> None:
    write_clip(Path("c.mkv"), moving_frames(2))
    for command in (
        ("deflicker", "c.mkv"),
        ("fix", "c.mkv", "--painted", "k"),
        ("propagate", "c.mkv", "--keyframes", "k"),
        ("dream", "c.mkv", "--model", "m", "--frames", "1"),
    ):
        assert "it names no file" in refuse(capsys, 2, *command, "--mask", "not:")
