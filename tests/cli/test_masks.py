"""Rendering under a mask: the look where it is white, whatever kind of file it is, and what has to be reconciled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, pictures_of, scene, write_folder
from directed_clip import COUNT, PICTURES, Frames, Shoot, directed, halves, lossless, same

import vidtrans as api
from vidtrans.core.errors import UsageError
from vidtrans.rendering.directing import FrameBlend

Capsys = pytest.CaptureFixture[str]
Render = Callable[..., Frames]

# Where it is white


@pytest.mark.parametrize("kind", ["video", "folder", "picture"])
def test_the_look_is_where_the_mask_is_white(kind: str, shoot: Shoot, render: Render) -> None:
    mask = halves(COUNT)
    if kind == "video":
        path = lossless(Path("m.mp4"), mask)
    elif kind == "folder":
        path = write_folder(Path("m"), mask)
    else:
        path = write_folder(Path(), mask[9:10], ["m.png"]) / "m.png"
        mask = [mask[9]] * COUNT
    made = render("--mask", path)
    assert same(made, shoot.expected(mask=mask))
    assert np.array_equal(made[5][:, :10], shoot.look[5][:, :10])
    assert np.array_equal(made[5][:, 40:], shoot.source[5][:, 40:])


def test_mask_strength_colour_and_mix_go_together(shoot: Shoot, render: Render) -> None:
    mask = halves(COUNT)
    made = render("--mask", write_folder(Path("m"), mask), "--strength", "0: 2, 23: 0", "--keep-colour", "--mix", "0.2")
    wanted = shoot.expected(lambda i: FrameBlend(2 - 2 * i / 23, 1.0, mix=0.2), mask)
    assert same(made, wanted, within=1)  # the strengths differ in their last digit
    assert not same(made, shoot.expected(lambda i: FrameBlend(2 - 2 * i / 23, 0.0, mix=0.2), mask), within=1)


def test_a_part_of_a_clip_is_masked_as_in_the_whole(shoot: Shoot, render: Render) -> None:
    path = lossless(Path("m.mp4"), halves(COUNT))
    whole = render("--mask", path)
    assert same(render("--mask", path, "--start", "9", "--end", "17"), whole[9:17])
    short = lossless(Path("short.mp4"), halves(COUNT)[9:17])  # as many as are rendered
    assert same(render("--mask", short, "--start", "9", "--end", "17"), whole[9:17])


def test_a_mask_fits_a_folder_and_a_picture(tiny_model: Path, capsys: Capsys) -> None:
    frames, mask = moving_frames(3), halves(3, step=10)
    write_folder(Path("in"), frames)
    write_folder(Path("m"), mask)
    for more in (("-o", "look"), ("-o", "out", "--mask", "m")):
        said(capsys, 0, "stylize", "in", "--model", tiny_model, *PICTURES, *more)
    look, made = (pictures_of(Path(p)) for p in ("look", "out"))
    assert same(list(made.values()), directed(frames, list(look.values()), lambda i: FrameBlend(), mask))
    said(capsys, 0, "stylize", "in/2.png", "--model", tiny_model, *PICTURES, "--mask", "m/2.png", "-o", "one.png")
    assert np.array_equal(pictures_of(Path("one.png"))["one.png"], made["2.png"])


def test_each_picture_of_a_mixed_folder_has_its_own_mask(tiny_model: Path, capsys: Capsys) -> None:
    sizes = [(64, 48), (48, 48), (48, 64)]
    frames = [scene(*size, seed=i) for i, size in enumerate(sizes)]
    masks = [np.full((s[1], s[0], 3), value, np.uint8) for s, value in zip(sizes, (0, 255, 0), strict=True)]
    write_folder(Path("in"), frames)
    write_folder(Path("m"), masks)
    command = ("stylize", "in", "--model", tiny_model, *PICTURES)
    assert "mask" not in said(capsys, 0, *command, "--mask", "m")
    made = pictures_of(Path("in.tiny"))
    assert [np.array_equal(made[f"{i}.png"], frames[i]) for i in range(3)] == [True, False, True]
    said(capsys, 0, *command, "--mask", "m", "--start", "1", "--end", "2", "-o", "part")
    assert np.array_equal(pictures_of(Path("part"))["1.png"], made["1.png"])
    said(capsys, 0, *command, "--mask", "m/0.png", "-o", "black")  # one for all
    assert same(list(pictures_of(Path("black")).values()), frames)
    lossless(Path("m.mp4"), halves(3))
    assert "give a folder of pictures" in refuse(capsys, 2, *command, "--mask", "m.mp4", "-o", "x")


@pytest.mark.parametrize(
    ("count", "size", "says"),
    [
        (1, (32, 24), None),
        (12, (64, 48), "it has 12 frames, the clip 40: matched by number, its last frame is held from frame 12 on"),
        (40, (48, 48), "it is 48x48, the clip 64x48: stretched to fit"),
    ],
)
def test_a_mask_that_does_not_fit_is_made_to_fit_and_that_is_told(
    count: int, size: tuple[int, int], says: str | None, clip: Path, capsys: Capsys
) -> None:
    write_folder(Path("m"), halves(count, size))
    told = said(capsys, 0, "stylize", clip, "--model", "identity", "--mask", "m")
    assert [t for t in told.splitlines() if "warning" in t] == ([f"warning: mask m: {says}"] if says else [])
    assert len(decode(Path("clip.identity.mp4"))[2]) == 40


def test_what_is_no_mask_is_named_and_leaves_nothing_behind(clip: Path, capsys: Capsys) -> None:
    command = ("stylize", clip, "--model", "identity", "--mask")
    assert "missing.png: no such file" in refuse(capsys, 3, *command, "missing.png")
    assert not Path(".vidtrans").exists()
    Path("text").write_text("white where the look is")
    Path("empty").mkdir()
    for mask in ("text", "empty"):
        assert refuse(capsys, 3, *command, mask).startswith(f"error: {mask}: ")


def test_the_result_is_not_written_over_the_mask(clip: Path) -> None:
    write_folder(Path("m"), halves(1))
    with pytest.raises(UsageError, match="one of the inputs"):
        api.stylize("m/0.png", "identity", "clip.mp4", mask=clip, overwrite=True)
    with pytest.raises(UsageError, match="one of the inputs"):
        api.stylize(clip, "identity", "m", mask="m", settings={"encoding": {"codec": "png"}}, overwrite=True)


@pytest.mark.parametrize("kind", ["video", "folder"])
def test_a_mask_whose_content_changed_is_rendered_again(kind: str, shoot: Shoot, capsys: Capsys) -> None:
    def write(step: int) -> Path:
        frames = halves(COUNT, step=step)
        return write_folder(Path("m"), frames) if kind == "folder" else lossless(Path("m.mp4"), frames)

    command = (*shoot.command, "--mask", write(1), "--mix", "0.05")
    assert said_json(capsys, *command)["cached"] is False
    before = decode(Path("out.mkv"))[2]
    assert said_json(capsys, *command)["cached"] is True
    write(2)
    assert "other inputs or options" in refuse(capsys, 2, *command)
    again = said_json(capsys, *command, "--overwrite")
    assert (again["cached"], again["frames_inferred"], again["frames_encoded"]) == (False, 0, COUNT)
    assert not same(decode(Path("out.mkv"))[2], before)
