"""Frames, clips and models that a program changes, drops, copies and shares between threads."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from clips import moving_frames, write_clip
from made_models import make_grade, make_model

import vidtrans

SIZE = (64, 48)


@pytest.fixture(autouse=True)
def frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Two shots; each picture of the second is held for two frames."""
    monkeypatch.chdir(tmp_path)
    moving = moving_frames(10, SIZE, (0, 6))
    frames = [*moving[:6], *(moving[6 + n // 2 * 2] for n in range(4))]
    write_clip(Path("c.mkv"), frames, codec="ffv1", pix_fmt="bgr0")
    make_model("m.safetensors", "edges")
    make_grade("dark.cube")
    return frames


def equal(some: Any, others: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def blackened(pictures: Iterator[Any]) -> Iterator[np.ndarray]:
    """Yield copies of pictures, and paint over the pictures, as a program does that draws into its frames."""
    for picture in pictures:
        seen = np.asarray(picture).copy()
        picture[:] = 0
        yield seen


def test_a_buffer_that_is_used_again_holds_other_frames_by_then(frames: list[np.ndarray]) -> None:
    def reused(as_tensor: bool = False) -> Iterator[Any]:
        buffer = np.empty_like(frames[0])
        for frame in frames:
            buffer[:] = frame
            yield torch.from_numpy(buffer) if as_tensor else buffer

    model = vidtrans.load_model("m")
    wanted = list(model.render(frames))
    assert equal(model.render(reused(), flow_from=reused()), wanted)
    assert equal((made.numpy() for made in model.render(reused(as_tensor=True))), wanted)
    assert equal(vidtrans.Deflicker(reused(), flow_from=reused()), list(vidtrans.Deflicker(frames)))
    vidtrans.write_clip(reused(), "o.mkv", fps=25, codec="ffv1")
    assert equal((frame.rgb for frame in vidtrans.open_clip("o.mkv")), frames)
    key = frames[2].copy()
    painted = vidtrans.Propagator(vidtrans.open_clip("c.mkv"), {2: key}, minutes=0)
    key[:] = 0
    assert np.array_equal(list(painted)[2], frames[2])


def test_pictures_belong_to_the_program(frames: list[np.ndarray]) -> None:
    model = vidtrans.load_model("m", settings={"rendering": {"size": "source"}})  # nothing is resized, and so copied
    clip = vidtrans.open_clip("c.mkv")
    before = [frame.copy() for frame in frames]
    wanted = [made.copy() for made in model.render(clip, temporal="off")]
    for source in (clip, frames, [torch.from_numpy(frame) for frame in frames]):
        assert equal(blackened(model.render(source, temporal="off")), wanted)
    model(frames[0])[:] = 0
    assert equal(frames, before)
    clip[3].rgb[:] = 0
    assert np.array_equal(clip[3].rgb, frames[3])


def test_a_clip_in_16_bits_is_painted_in_16_bits() -> None:
    model = vidtrans.load_model("m")
    deep, flat = (list(model.render(vidtrans.open_clip("c.mkv", deep=deep)[:3])) for deep in (True, False))
    assert (deep[0].dtype, flat[0].dtype) == (np.uint16, np.uint8)
    assert np.abs(np.array(deep) / 257 - np.array(flat)).mean() < 1


def open_files() -> list[str]:
    """Return the open files of this process that are in the current folder."""
    links = Path("/proc/self/fd")
    found = [os.readlink(link) for link in links.iterdir() if link.is_symlink()] if links.is_dir() else []
    return [name for name in found if name.startswith(str(Path.cwd()))]


def running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("vidtrans-")]


@pytest.mark.parametrize(
    ("kind", "end"),
    [("clip", "close"), ("stream", "drop"), ("deflicker", "error"), ("propagator", "cycle")],
)
def test_a_render_that_is_left_half_way_leaves_nothing_open(kind: str, end: str, frames: list[np.ndarray]) -> None:
    model, clip = vidtrans.load_model("m"), vidtrans.open_clip("c.mkv")
    makers: dict[str, Callable[[], Iterator[Any]]] = {
        "clip": lambda: model.render(clip),
        "stream": lambda: model.render(frame.rgb for frame in clip),
        "deflicker": lambda: iter(vidtrans.Deflicker(clip)),
        "propagator": lambda: iter(vidtrans.Propagator(clip, {2: frames[2]}, minutes=0)),
    }
    limit = cv2.getNumThreads()
    made: Any = makers[kind]()
    next(made)
    if end == "close":
        made.close()
    elif end == "error":
        with pytest.raises(ZeroDivisionError):
            made.throw(ZeroDivisionError)
    cycle = [made]
    cycle += [cycle] if end == "cycle" else []  # as the traceback of an error keeps what was there
    del made, cycle
    gc.collect()
    assert running() == []
    assert open_files() == []
    assert cv2.getNumThreads() == limit
    assert len(list(makers[kind]())) == len(frames)


def test_threads_that_share_a_model_get_the_pictures_of_one(frames: list[np.ndarray]) -> None:
    model = vidtrans.load_model(["m", "dark.cube"])
    clip = vidtrans.open_clip("c.mkv")
    sources: list[Any] = [clip, frames[::-1]]
    wanted = [list(model.render(source)) for source in sources]
    single, limit = model(frames[0]), cv2.getNumThreads()
    start = threading.Barrier(2 * len(sources))

    def work(number: int) -> list[np.ndarray]:
        start.wait()
        if number < len(sources):
            return list(model.render(sources[number]))
        return [model(frames[0]) for _ in range(2)]

    with ThreadPoolExecutor(2 * len(sources)) as pool:
        found = list(pool.map(work, range(2 * len(sources))))
    assert all(map(equal, found[: len(sources)], wanted))
    assert all(equal(made, [single] * 2) for made in found[len(sources) :])
    assert cv2.getNumThreads() == limit


@pytest.mark.parametrize("copied", [copy.copy, lambda thing: pickle.loads(pickle.dumps(thing))], ids=["copy", "pickle"])
def test_clips_models_and_filters_are_copied_and_sent_to_other_processes(copied: Any, frames: list[np.ndarray]) -> None:
    clip = vidtrans.open_clip("c.mkv", deep=True)[2:7]
    model = vidtrans.load_model(["m", "dark.cube"], settings={"rendering": {"strength": 0.5}})
    model(frames[0])
    other: Any = copied(clip)
    assert equal((frame.rgb for frame in other), [frame.rgb for frame in clip])
    assert np.array_equal(copied(clip[3]).rgb, clip[3].rgb)
    assert equal(copied(model).render(other), list(model.render(clip)))
    for filtered in (vidtrans.Deflicker(clip), vidtrans.Propagator(clip, {1: frames[3]}, minutes=0)):
        assert equal(copied(filtered), list(filtered))
    with pytest.raises(TypeError, match="generator"):
        copied(model.render(clip))
