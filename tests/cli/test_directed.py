"""Renders that are directed: strength and mix over a clip; and masks of renders, flicker, corrections and dreams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, pictures_of, scene, write_clip, write_folder
from directed_clip import COUNT, EXACT, PICTURES, FrameBlend, Frames, Shoot, halves, lossless, same
from dreams import make_dreamer
from paintings import write

import vidtrans as api
from vidtrans.cli.click_commands import _attach_flag_values
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Progress, Stop
from vidtrans.video.images.picture import write_picture

Capsys = pytest.CaptureFixture[str]
Render = Callable[..., Frames]


def test_keyframes_move_the_strength_from_frame_to_frame_also_in_a_part(shoot: Shoot, render: Render) -> None:
    """At 30 frames a second frame 15 is shown at half a second."""
    made = render("--strength", "0s: 0, 00:00:00.5: 1")
    assert same(made, shoot.expected(lambda i: FrameBlend(strength=min(i / 15, 1.0))))
    assert same(render("--strength", "0: 0, 15: 1", "--start", "8", "--end", "18"), made[8:18])


def test_slips_in_directing_are_answered_with_the_remedy(clip: Path, tiny_model: Path, capsys: Capsys) -> None:
    identity, tiny = (("stylize", clip, "--model", model) for model in ("identity", tiny_model))
    for command, flag, says in (
        (identity, "--strength=strong", "is not known"),
        (identity, "--strength=5: 1, 0: 0", "sort the keyframes by time"),
        (identity, "--mix=0: 0, 10: 1.5", "from 0 to 1"),
        (identity, "--set=rendering.mask_feather=-1", "rendering.mask_feather"),
        (identity, "--set=pairing.density=0.3", "pairing.density"),
        (tiny, "--set=pairing.gradient_channel=false", "the input's channels would be 1, 'tiny' takes 2"),
        (tiny, "--set=pairing.name=next-frame", "pairing.name"),
        (tiny, "--set=pairing.density=5", "out of bounds"),
    ):
        assert says in refuse(capsys, 2, *command, flag)


def test_changed_directing_infers_nothing_again_and_a_default_that_is_spelt_out_encodes_nothing(shoot: Shoot) -> None:
    lossless(Path("m.mp4"), halves(COUNT, step=2))
    changes = {"mix": 0.35, "strength": "0: 0, 9: 1", "keep_colour": 0.9}
    spelt = {"strength": "0: 1, 5: 1", "mix": 0, "keep_colour": "0.0"}
    cases: list[tuple[str | None, dict[str, Any], int]] = [
        *((None, {key: value}, COUNT) for key, value in changes.items()),
        ("m.mp4", {}, COUNT),
        (None, spelt, 0),
    ]
    for mask, more, encoded in cases:
        settings: dict[str, Any] = {**EXACT, "rendering": {**EXACT["rendering"], **more}}
        options: dict[str, Any] = {"settings": settings, "mask": mask, "cache_dir": shoot.cache, "overwrite": True}
        made = api.stylize(shoot.clip, shoot.model, "again.mkv", **options)
        assert (made["frames_inferred"], made["frames_encoded"]) == (0, encoded), more


DIRECTED = {"strength": "0: 0.2, 9: 2, 20: 0.5", "mix": "0s: 0, 0.5s: 0.4", "mask_feather": 1.5}


def directed(shoot: Shoot, name: str, chunk: int, **options: Any) -> Frames:
    """Filtered, at the trained size, under a mask, each under a cache of its own."""
    settings = {"rendering": {**DIRECTED, "chunk_frames": chunk}, "encoding": {"codec": "ffv1"}}
    api.stylize(
        shoot.clip, shoot.model, f"{name}.mkv", mask="m.mp4", settings=settings, cache_dir=f"cache-{name}", **options
    )
    return decode(Path(f"{name}.mkv"))[2]


def test_a_directed_render_that_was_stopped_goes_on_as_if_nothing_had_been(shoot: Shoot) -> None:
    """Chunks change no pixel of it either, nor does the number of threads."""
    lossless(Path("m.mp4"), halves(15, step=3), rate=20)
    stop = Stop()

    def strike(event: object) -> None:
        if isinstance(event, Progress) and event.task.startswith("rendering") and event.done == 17:
            stop.request(130)

    with pytest.raises(Interrupted):
        directed(shoot, "resumed", 5, stop=stop, report=strike)
    assert not Path("resumed.mkv").exists()
    resumed = directed(shoot, "resumed", 5)
    directed(shoot, "whole", 5)
    assert Path("resumed.mkv").read_bytes() == Path("whole.mkv").read_bytes()
    assert same(resumed, directed(shoot, "one chunk", 1000))


def test_how_the_input_is_made_can_be_changed_when_rendering(shoot: Shoot, render: Render, capsys: Capsys) -> None:
    assert not same(render("--set=pairing.density=0.5", "--set=pairing.min_gradient=0.5"), shoot.look)
    assert same(render("--set=pairing.density=0.12"), shoot.look)  # as it was trained
    again = said_json(capsys, *shoot.command, "--overwrite", "--set=pairing.density=0.12", "--mix", "0.61")
    assert again["frames_inferred"] == 0


def test_a_drawing_is_taken_as_it_is_only_where_it_is_one(tiny_model: Path, capsys: Capsys) -> None:
    drawing = np.full((48, 64, 3), 255, np.uint8)
    drawing[10:38, 20:22] = drawing[24:26, 8:56] = 0
    write_picture(Path("d.png"), drawing)
    write_picture(Path("p.png"), moving_frames(1)[0])
    assert "looks like a drawing" in said(capsys, 0, "stylize", "d.png", "--model", tiny_model)
    assert "drawing" not in said(capsys, 0, "stylize", "p.png", "--model", tiny_model)
    assert "drawing" not in said(capsys, 0, "stylize", "d.png", "--model", tiny_model, "--drawn", "no", "-o", "no.png")
    found, as_photo = (pictures_of(Path(p))[p] for p in ("d.tiny.png", "no.png"))
    assert not np.array_equal(found, as_photo)
    said(capsys, 0, "stylize", "d.png", "--model", tiny_model, "--drawn", "yes", "-o", "yes.png")
    assert np.array_equal(pictures_of(Path("yes.png"))["yes.png"], found)
    assert "takes no drawings" in refuse(capsys, 2, "stylize", "p.png", "--model", "identity", "--drawn", "yes")


def test_a_flag_that_may_have_a_value_leaves_inputs_alone() -> None:
    for name in ("clip.mp4", "levels.csv"):
        Path(name).touch()
    for name in ("0", "shots"):
        Path(name).mkdir()
    for value in ("0", "levels.csv", "0.5*low", "much"):  # much: no input either
        assert _attach_flag_values(["--mix", value, "clip.mp4"], {"--mix": "1"}) == [f"--mix={value}", "clip.mp4"]
    for words in (["clip.mp4"], ["shots"], ["absent.mp4"], ["--keep", "0.2"], ["--", "0.5"], []):
        assert _attach_flag_values(["--mix", *words], {"--mix": "1"}) == ["--mix=1", *words]


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


def test_what_is_no_mask_is_named_and_leaves_nothing_behind(clip: Path, capsys: Capsys) -> None:
    command = ("stylize", clip, "--model", "identity", "--mask")
    assert "missing.png: no such file" in refuse(capsys, 3, *command, "missing.png")
    assert not Path(".vidtrans").exists()
    Path("text").write_text("white where the look is")
    Path("empty").mkdir()
    for mask in ("text", "empty"):
        assert refuse(capsys, 3, *command, mask).startswith(f"error: {mask}: ")


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
    said(capsys, 0, "stylize", "c.mkv", "--model", "identity", "-o", "o.mkv", *FFV1, "--temporal", "off")
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


def test_a_mask_without_a_file_is_refused(capsys: Capsys) -> None:
    write_clip(Path("c.mkv"), moving_frames(2))
    for command in (
        ("deflicker", "c.mkv"),
        ("fix", "c.mkv", "--painted", "k"),
        ("propagate", "c.mkv", "--keyframes", "k"),
        ("dream", "c.mkv", "--model", "m", "--frames", "1"),
    ):
        assert "it names no file" in refuse(capsys, 2, *command, "--mask", "not:")
