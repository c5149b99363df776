"""What programs get wrong about frames: a line that says so, and nothing half-done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import moving_frames, write_clip
from made_models import make_model

import vidtrans

SIZE = (64, 48)
BYTES = np.zeros((8, 8, 3), np.uint8)


def exact_clip(count: int = 3) -> vidtrans.Clip:
    write_clip(Path("c.mkv"), moving_frames(count, SIZE), codec="ffv1", pix_fmt="bgr0")
    return vidtrans.open_clip("c.mkv")


def equal(some: Any, others: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def refused(use: Callable[[], object], words: str) -> None:
    with pytest.raises(vidtrans.UsageError, match=words) as error:
        use()
    line = str(error.value)
    assert "\n" not in line
    assert error.value.what, line
    assert error.value.remedy, line


NO_PICTURES: list[tuple[Any, str]] = [
    (np.zeros((8, 8, 3)), r"float64 — .*255 \* x"),
    (np.zeros((8, 8, 3), ">u2"), ">u2"),
    (np.zeros((8, 8), np.uint8), "8x8 of uint8 — .*dstack"),
    (np.zeros((8, 8, 4), np.uint8), "8x8x4 of uint8 — .*alpha"),
    (np.zeros((3, 8, 8), np.uint8), "3x8x8 of uint8 — .*channels come last"),
    (np.zeros((0, 8, 3), np.uint8), "0x8x3"),
    (torch.zeros(8, 8, 3, requires_grad=True), r"float32 — .*byte\(\)"),
    (torch.zeros(3, 8, 8, dtype=torch.uint8), "permute"),
    (torch.zeros(8, 8, 3, dtype=torch.uint8).to_sparse(), "Sparse"),
    (torch.zeros(8, 8, 3, dtype=torch.uint8, device="meta"), "meta"),
    ([[0]], "type list"),
    (None, "type NoneType"),
]


def test_what_is_no_picture_is_named_with_its_remedy() -> None:
    model, clip = vidtrans.load_model("identity"), exact_clip(2)
    for picture, words in NO_PICTURES:
        for use, where in (
            (lambda p=picture: model(p), "a frame"),
            (lambda p=picture: list(model.render([BYTES, p])), "frame 1"),
            (lambda p=picture: list(model.render([BYTES], flow_from=[p])), "picture 0 of flow_from"),
            (lambda p=picture: vidtrans.write_clip([BYTES, p], "o.mkv", fps=25), "frame 1"),
            (lambda p=picture: vidtrans.Propagator(clip, {1: p}, minutes=0), "key frame 1"),
        ):
            refused(use, f"^{where}: .*{words}")
    assert not Path("o.mkv").exists()


def test_what_is_no_sequence_of_frames_is_refused_at_the_call() -> None:
    model = vidtrans.load_model("identity")
    none: list[tuple[Any, str]] = [("c.mkv", "open_clip"), (BYTES, r"model\(picture\)"), (7, "type int")]
    for frames, words in none:
        refused(lambda f=frames: model.render(f), words)
        refused(lambda f=frames: vidtrans.Deflicker(f), words)
        refused(lambda f=frames: vidtrans.write_clip(f, "o.mkv", fps=25), words)
        refused(lambda f=frames: model.render([], flow_from=f), "flow_from")


def test_frames_that_change_in_the_middle_are_named() -> None:
    model = vidtrans.load_model("identity")
    for other in (BYTES[:4], BYTES[:, :4], BYTES.astype(np.uint16)):
        frames = [BYTES, BYTES, other]
        refused(lambda frames=frames: list(model.render(frames)), "^frame 2: .*the first one 8x8")
        refused(lambda frames=frames: vidtrans.write_clip(frames, "o.mkv", fps=25), "^frame 2: .*the first one 8x8")
    assert list(Path().glob("*o.mkv*")) == []


def test_any_layout_of_memory_is_the_same_picture() -> None:
    (frame,) = moving_frames(1, SIZE)
    make_model("m.safetensors", "aligned")
    model = vidtrans.load_model("m")
    wanted = model(frame)
    locked = frame.copy()
    locked.flags.writeable = False
    wide = np.repeat(frame, 2, axis=1)
    kinds = [
        frame[::-1, ::-1].copy()[::-1, ::-1],
        np.asfortranarray(frame),
        wide[:, ::2],
        np.ascontiguousarray(frame[..., ::-1])[..., ::-1],
        locked,
        np.ma.masked_array(frame),
    ]
    assert equal(map(model, kinds), [wanted] * len(kinds))
    assert equal(model.render(kinds, temporal="off"), list(model.render([frame] * len(kinds), temporal="off")))
    tensor = torch.from_numpy(frame.transpose(2, 0, 1).copy()).permute(1, 2, 0)
    assert np.array_equal(model(tensor).numpy(), wanted)


def test_a_generator_that_raises_or_ends_is_no_mistake_of_ours() -> None:
    def frames() -> Iterator[np.ndarray]:
        yield BYTES
        raise OSError("the camera is gone")

    model = vidtrans.load_model("identity")
    for use in (
        lambda: list(model.render(frames())),
        lambda: list(vidtrans.Deflicker(frames())),
        lambda: vidtrans.write_clip(frames(), "o.mkv", fps=25),
    ):
        with pytest.raises(OSError, match="the camera is gone"):
            use()
    assert list(Path().glob("*o.mkv*")) == []
    assert len(list(model.render(iter([BYTES] * 3)))) == 3
    refused(lambda: list(model.render([BYTES] * 3, flow_from=iter([BYTES] * 2))), "flow_from")


WRONG_WAYS: list[tuple[dict[str, Any], str]] = [
    ({"fps": float("nan")}, "fps nan"),
    ({"fps": 0}, "fps 0"),
    ({"fps": "quick"}, "fps quick"),
    ({"fps": "source"}, "give like= or fps="),
    ({"fps": 25, "codec": "h999"}, "h999"),
    ({"fps": 25, "crf": 99}, "crf"),
    ({"fps": 25, "codec": "png"}, "no video"),
    ({"fps": 25, "path": "o.xyz"}, "xyz"),
    ({"fps": 25, "path": "file/o.mp4"}, "not a folder"),
    ({"fps": 25, "path": "."}, "folder"),
    ({"like": "c.mkv"}, "open_clip"),
]


def test_how_a_clip_is_written_is_checked_before_its_frames_are_made() -> None:
    Path("file").write_text("")
    made: list[int] = []
    for options, words in WRONG_WAYS:
        given = {"path": "o.mkv"} | options
        refused(lambda g=given: vidtrans.write_clip((made.append(n) for n in range(3)), **g), words)
    assert made == []
    assert sorted(map(str, Path().iterdir())) == ["file"]


def test_a_source_is_never_written_and_nothing_of_what_cannot_be() -> None:
    clip, before, frames = exact_clip(), Path("c.mkv").read_bytes(), moving_frames(4, SIZE)
    for given, path, options, words in (
        (clip, "c.mkv", {"like": clip, "overwrite": True}, "one of the inputs"),
        (clip, "c.mkv", {"fps": 25, "overwrite": True}, "one of the inputs"),
        (clip[:2], "o.mkv", {"like": clip}, "2 pictures for its 3 frames"),
        (frames, "o.mkv", {"like": clip}, "frames"),
        (frames, "o.mkv", {}, "like= or fps="),
        ([], "o.mkv", {"fps": 25}, "."),
    ):
        refused(lambda g=given, p=path, o=options: vidtrans.write_clip(g, p, **o), words)
    assert Path("c.mkv").read_bytes() == before
    assert list(Path().glob("*o.mkv*")) == []
    vidtrans.write_clip(clip, "o.mkv", like=clip)
    refused(lambda: vidtrans.write_clip(clip, "o.mkv", like=clip), "exists")


def test_key_frames_are_numbers_in_the_clip_and_times_are_times() -> None:
    clip = exact_clip()
    for keys, words in (({}, "none"), ({"1": BYTES}, "key frame 1"), ({1.5: BYTES}, "1.5"), ({-1: BYTES}, "3 frames")):
        refused(lambda keys=keys: vidtrans.Propagator(clip, keys, minutes=0), words)
    for options, words in (
        ({"minutes": -1}, "minutes -1"),
        ({"minutes": float("nan")}, "minutes nan"),
        ({"follow": "me"}, "follow me"),
        ({"follow": "look", "minutes": 0}, "follow look"),
    ):
        refused(lambda options=options: vidtrans.Propagator(clip, {0: clip[0]}, **options), words)
    refused(lambda: vidtrans.open_clip("c.mkv", start="soon"), "soon")
    for time in ("soon", float("nan"), float("inf")):
        refused(lambda time=time: clip.at(time), str(time))
