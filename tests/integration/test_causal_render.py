"""A render through the causal filter: stopped, killed and damaged anywhere, it ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import said_json
from clips import moving_frames
from directed_clip import lossless
from flicker import flickering, look
from processes import KILLED_STATUSES, Started

import vidtrans as api
from vidtrans.errors import Interrupted
from vidtrans.events import Event, Progress, Stop
from vidtrans.temporal.causal import CausalFilter
from vidtrans.temporal.stream import Window

CAUSAL: dict[str, dict[str, Any]] = {
    "rendering": {"chunk_frames": 5},
    "temporal": {"name": "causal"},
    "encoding": {"codec": "ffv1"},
}
pytestmark = pytest.mark.usefixtures("in_turns")
FRAMES, SHOT = 40, 17  # chunks begin at 0, 5, 10, 15 | 17, 22, 27, 32, 37


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, bytes]:
    """A processed clip of two shots, its source, and what the filter makes of it in one go."""
    folder = tmp_path_factory.mktemp("pair")
    frames = moving_frames(FRAMES, shots=(0, SHOT))
    source, processed = folder / "s.mp4", folder / "p.mp4"
    lossless(source, frames)
    lossless(processed, flickering([look(f) for f in frames], 15))
    api.deflicker(processed, source, folder / "o.mkv", settings=CAUSAL, cache_dir=folder / "cache")
    return processed, source, (folder / "o.mkv").read_bytes()


def deflicker(pair: tuple[Path, Path, bytes], **options: Any) -> dict[str, Any]:
    return api.deflicker(pair[0], pair[1], "o.mkv", settings=CAUSAL, **options)


def states() -> list[Path]:
    return sorted(Path(".vidtrans").glob("render/*/state-*.npz"))


def until(pair: tuple[Path, Path, bytes], frame: int) -> None:
    """Render, and be stopped after a frame."""
    stop, most = Stop(), []

    def report(event: Event) -> None:
        if isinstance(event, Progress) and event.task.startswith("rendering"):
            most.append(len(states()))
            if event.done == frame:
                stop.request(130)

    with pytest.raises(Interrupted):
        deflicker(pair, report=report, stop=stop)
    assert max(most) <= 1
    assert not Path("o.mkv").exists()


@pytest.mark.parametrize("frame", [3, 5, 12, 16, 17, 21, 23, 39])
def test_an_interrupted_render_goes_on_and_ends_byte_identical(pair: tuple[Path, Path, bytes], frame: int) -> None:
    until(pair, frame)
    done = deflicker(pair)
    assert Path("o.mkv").read_bytes() == pair[2]
    whole = [b for b in (5, 10, 15, 17, 22, 27, 32, 37) if b <= frame]
    assert done["frames_encoded"] == FRAMES - max(whole, default=0)
    assert not states()


def touch(change: Callable[[bytearray], bytes | bytearray]) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(change(bytearray(path.read_bytes()))), None)[1]


HARM: dict[str, Callable[[Path], None]] = {
    "deleted": Path.unlink,
    "empty": touch(lambda data: b""),
    "cut off": touch(lambda data: data[: len(data) // 2]),
    "flipped": touch(lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]),
    "no note": lambda path: path.with_suffix(".json").unlink(),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_state_that_was_lost_or_damaged_costs_time_only(pair: tuple[Path, Path, bytes], harm: str) -> None:
    until(pair, 13)
    (state,) = states()
    assert state.name == "state-000001.npz"
    HARM[harm](state)
    done = deflicker(pair)
    assert Path("o.mkv").read_bytes() == pair[2]
    assert done["frames_encoded"] == FRAMES - 10
    assert not states()


def test_it_goes_on_from_the_state_and_not_from_the_beginning(
    pair: tuple[Path, Path, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the tests above would pass without one."""
    until(pair, 13)
    taken, seen = [], []
    resume, call = CausalFilter.resume, CausalFilter.__call__

    def resumed(self: CausalFilter, state: Mapping[str, np.ndarray]) -> None:
        taken.append(set(state))
        resume(self, state)

    def called(self: CausalFilter, window: Window) -> np.ndarray:
        seen.append(window.samples[0].index)
        return call(self, window)

    monkeypatch.setattr(CausalFilter, "resume", resumed)
    monkeypatch.setattr(CausalFilter, "__call__", called)
    deflicker(pair)
    assert Path("o.mkv").read_bytes() == pair[2]
    assert taken == [{"guide", "output", "mean", "count"}]
    assert seen == list(range(10, FRAMES))


def test_a_chunk_that_was_damaged_later_is_made_again_the_same(pair: tuple[Path, Path, bytes]) -> None:
    deflicker(pair)
    for number in (2, 6):
        (chunk,) = Path(".vidtrans").glob(f"render/*/chunk-{number:06d}.nut")
        chunk.write_bytes(chunk.read_bytes()[:-9])
    Path("o.mkv").unlink()
    done = deflicker(pair)
    assert Path("o.mkv").read_bytes() == pair[2]
    assert done["frames_encoded"] == 10


KILLED = """
from vidtrans.concurrency import threads
threads.cores = lambda: 1
import os, signal, sys
import vidtrans as api
from vidtrans.events import Progress

def report(event):
    if isinstance(event, Progress) and event.task.startswith("rendering") and event.done == 25:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

api.deflicker(*sys.argv[1:3], "o.mkv", settings={settings}, report=report)
"""


def test_killed_at_a_frame_it_goes_on(pair: tuple[Path, Path, bytes], capsys: pytest.CaptureFixture[str]) -> None:
    script = KILLED.format(settings=repr(CAUSAL))
    assert Started("-c", script, *pair[:2]).wait() in KILLED_STATUSES
    assert [p.name for p in states()] == ["state-000004.npz"]
    flags = ("--source", pair[1], "--temporal", "causal", "--codec", "ffv1", "--set=rendering.chunk_frames=5")
    table = said_json(capsys, "deflicker", pair[0], "-o", "o.mkv", *flags)
    assert Path("o.mkv").read_bytes() == pair[2]
    assert table["frames_encoded"] == FRAMES - 22


def test_a_model_is_rendered_through_it(clip: Path, tiny_model: Path) -> None:
    """Chunk by chunk, stopped and gone on with, as in one go; the sound goes along."""
    settings = {**CAUSAL, "encoding": {}}
    api.stylize(clip, tiny_model, "whole.mp4", settings=settings, cache_dir="other")
    stop = Stop()
    stop_at: Callable[[Event], None] = lambda e: (  # noqa: E731
        stop.request(130) if isinstance(e, Progress) and e.task.startswith("rendering") and e.done == 13 else None
    )
    with pytest.raises(Interrupted):
        api.stylize(clip, tiny_model, "o.mp4", settings=settings, report=stop_at, stop=stop)
    table = api.stylize(clip, tiny_model, "o.mp4", settings=settings)
    assert Path("o.mp4").read_bytes() == Path("whole.mp4").read_bytes()
    assert table["frames_inferred"] == 40 - 10
