"""Renders that are directed: strength, mix and colour over a clip, and what of it is made again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, pictures_of
from directed_clip import COUNT, EXACT, Frames, Shoot, halves, lossless, same

import vidtrans as api
from vidtrans.cli.click_commands import _with_values
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Progress, Stop
from vidtrans.rendering.directing import FrameBlend
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
        assert _with_values(["--mix", value, "clip.mp4"], {"--mix": "1"}) == [f"--mix={value}", "clip.mp4"]
    for words in (["clip.mp4"], ["shots"], ["absent.mp4"], ["--keep", "0.2"], ["--", "0.5"], []):
        assert _with_values(["--mix", *words], {"--mix": "1"}) == ["--mix=1", *words]
