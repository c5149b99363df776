"""``--mask`` and ``--mask not:…``: renders, flicker, corrections, paint and dreams where it is white."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, pictures_of, scene, write_clip, write_folder
from directed_clip import COUNT, PICTURES, Frames, Shoot, halves, lossless, same
from dreams import make_dreamer
from paintings import EXACT, write
from PIL import Image

import vidtrans as api
from vidtrans.core.errors import UsageError
from vidtrans.rendering.directing import FrameBlend

Capsys = pytest.CaptureFixture[str]
Render = Callable[..., Frames]


def test_the_look_is_where_the_mask_is_white(shoot: Shoot, render: Render) -> None:
    mask = halves(COUNT)
    made = render("--mask", lossless(Path("m.mp4"), mask))
    assert same(made, shoot.expected(mask=mask))
    assert np.array_equal(made[5][:, :10], shoot.look[5][:, :10])
    assert np.array_equal(made[5][:, 40:], shoot.source[5][:, 40:])


def test_mask_strength_colour_and_mix_go_together(shoot: Shoot, render: Render) -> None:
    mask = halves(COUNT)
    made = render("--mask", write_folder(Path("m"), mask), "--strength", "0: 2, 23: 0", "--keep-colour", "--mix", "0.2")
    wanted = shoot.expected(lambda i: FrameBlend(2 - 2 * i / 23, 1.0, mix=0.2), mask)
    assert same(made, wanted, within=1)  # the strengths differ in their last digit
    assert not same(made, shoot.expected(lambda i: FrameBlend(2 - 2 * i / 23, 0.0, mix=0.2), mask), within=1)


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
    said(capsys, 0, *command, "--mask", "m/0.png", "-o", "black")  # one for all
    assert same(list(pictures_of(Path("black")).values()), frames)
    lossless(Path("m.mp4"), halves(3))
    assert "give a folder of pictures" in refuse(capsys, 2, *command, "--mask", "m.mp4", "-o", "x")


def test_a_mask_that_does_not_fit_is_made_to_fit_and_that_is_told(clip: Path, capsys: Capsys) -> None:
    held = "it has 12 frames, the clip 40: matched by number, its last frame is held from frame 12 on"
    for count, says in ((1, "it is 48x48, the clip 64x48: stretched to fit"), (12, held)):
        write_folder(Path(f"m{count}"), halves(count, (48, 48) if count == 1 else (64, 48)))
        command = ("stylize", clip, "--model", "identity", "--mask", f"m{count}", "--overwrite")
        told = said(capsys, 0, *command)
        assert [t for t in told.splitlines() if "warning" in t] == [f"warning: mask m{count}: {says}"]


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


def test_a_mask_whose_content_changed_is_rendered_again(shoot: Shoot, capsys: Capsys) -> None:
    command = (*shoot.command, "--mask", write_folder(Path("m"), halves(COUNT)), "--mix", "0.05")
    assert said_json(capsys, *command)["cached"] is False
    before = decode(Path("out.mkv"))[2]
    assert said_json(capsys, *command)["cached"] is True
    write_folder(Path("m"), halves(COUNT, step=2))
    assert "other inputs or options" in refuse(capsys, 2, *command)
    again = said_json(capsys, *command, "--overwrite")
    assert (again["cached"], again["frames_inferred"], again["frames_encoded"]) == (False, 0, COUNT)
    assert not same(decode(Path("out.mkv"))[2], before)


pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = 12
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
    flickers = flickering(SHORT)
    lossless(Path("p.mkv"), flickers)
    lossless(Path("m.mkv"), halves(SHORT))
    command = ("deflicker", "p.mkv", *FFV1, "--set=temporal.keep_source_changes=0", "-o")
    said(capsys, 0, *command, "all.mkv")
    said(capsys, 0, *command, "in.mkv", "--mask", "m.mkv")
    said(capsys, 0, *command, "out.mkv", "--mask", "not:m.mkv")
    assert not same(frames("all.mkv"), flickers, within=4)
    assert same(frames("in.mkv"), masked(frames("all.mkv"), flickers, halves(SHORT)))
    assert same(frames("out.mkv"), masked(flickers, frames("all.mkv"), halves(SHORT)), within=1)
    assert said_json(capsys, *command, "in.mkv", "--mask", "m.mkv")["cached"]
    assert "other inputs or options" in refuse(capsys, 2, *command, "in.mkv", "--mask", "not:m.mkv")


def test_a_correction_is_seen_where_the_mask_is_white(capsys: Capsys) -> None:
    lossless(Path("c.mkv"), moving_frames(SHORT))
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


def test_a_dream_is_seen_within_a_mask_and_its_clip_goes_on_around_it(capsys: Capsys) -> None:
    model = make_dreamer(Path("d.safetensors"), context_frames=2)
    write_clip(Path("c.mkv"), moving_frames(SHORT), codec="ffv1", pix_fmt="bgr0")
    lossless(Path("m.mkv"), halves(SHORT, step=3))
    flags = ("--start", "2", *FFV1, "--set=rendering.chunk_frames=3")
    command = ("dream", "c.mkv", "--model", model, "--frames", "14", *flags, "-o")
    said(capsys, 0, *command, "all.mkv")
    warning = said(capsys, 0, *command, "in.mkv", "--mask", "m.mkv")
    assert "ends" in warning
    assert "its last frame is seen around the rest" in warning
    at = [min(4 + n, SHORT - 1) for n in range(14)]  # the seed is frames 2 and 3
    around, mattes = ([one[n] for n in at] for one in (frames("c.mkv"), halves(SHORT, step=3)))
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


def test_object_numbers_do_what_white_does(capsys: Capsys) -> None:
    pictures, masks = flickering(4), [np.where(m >= 128, 255, 0).astype(np.uint8) for m in halves(4, step=4)]
    lossless(Path("in.mkv"), pictures)
    names = [f"{n:04d}.png" for n in range(4)]
    write_folder(Path("white"), masks, names)
    Path("numbers").mkdir()
    for name, mask in zip(names, masks, strict=True):
        in_numbers(mask).save(Path("numbers") / name)
    made = {}
    for name in ("white", "numbers"):
        command = ("deflicker", "in.mkv", "--set=temporal.keep_source_changes=0", "--mask", name)
        told = said(capsys, 0, *command, *FFV1, "-o", f"{name}.mkv")
        assert ("its colours are objects: all but #000000 is inside" in told) == (name == "numbers")
        made[name] = frames(f"{name}.mkv")
    assert same(made["numbers"], made["white"])


def test_a_mask_without_a_file_is_refused(capsys: Capsys) -> None:
    write_clip(Path("c.mkv"), moving_frames(2))
    for command in (
        ("deflicker", "c.mkv"),
        ("fix", "c.mkv", "--painted", "k"),
        ("propagate", "c.mkv", "--keyframes", "k"),
        ("dream", "c.mkv", "--model", "m", "--frames", "1"),
    ):
        assert "it names no file" in refuse(capsys, 2, *command, "--mask", "not:")
