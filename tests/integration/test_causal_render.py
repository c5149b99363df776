"""A render through the causal filter: stopped, killed and damaged anywhere, it ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import moving_frames
from directed_clip import lossless
from flicker import flickering, look

import vidtrans as api
from vidtrans.core.events import Event, Stop
from vidtrans.temporal.causal import CausalFilter
from vidtrans.temporal.stream import Window

CAUSAL: dict[str, dict[str, Any]] = {
    "rendering": {"chunk_frames": 5},
    "temporal": {"name": "causal"},
    "encoding": {"codec": "ffv1"},
}
pytestmark = pytest.mark.usefixtures("in_turns")
Pair = tuple[Path, Path, bytes]
Until = Callable[[Pair, int], None]
FRAMES, SHOT = 20, 12  # chunks begin at 0, 5, 10 | 12, 17


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A processed clip of two shots, its source, and what the filter makes of it in one go."""
    folder = tmp_path_factory.mktemp("pair")
    frames = moving_frames(FRAMES, shots=(0, SHOT))
    source, processed = folder / "s.mp4", folder / "p.mp4"
    lossless(source, frames)
    lossless(processed, flickering([look(f) for f in frames], 15))
    api.deflicker(processed, source, folder / "o.mkv", settings=CAUSAL, device="cpu", cache_dir=folder / "cache")
    return processed, source, (folder / "o.mkv").read_bytes()


def deflicker(pair: Pair, **options: Any) -> dict[str, Any]:
    return api.deflicker(pair[0], pair[1], "o.mkv", settings=CAUSAL, device="cpu", **options)


def states() -> list[Path]:
    return sorted(Path(".vidtrans").glob("render/*/state-*.npz"))


@pytest.fixture
def until(stopped: Callable[..., list[str]]) -> Until:
    """Render, and be stopped after a frame; at no time are there two states."""

    def run(pair: Pair, frame: int) -> None:
        most: list[int] = []

        def deflicker_and_count(report: Callable[[Event], None], stop: Stop) -> None:
            def count(event: Event) -> None:
                most.append(len(states()))
                report(event)

            deflicker(pair, report=count, stop=stop)

        stopped(deflicker_and_count, "rendering", frame)
        assert max(most) <= 1
        assert not Path("o.mkv").exists()

    return run


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [Path.unlink, flip])
def test_a_state_that_was_lost_or_damaged_costs_time_only(
    pair: Pair, harm: Callable[[Path], None], until: Until
) -> None:
    until(pair, 8)
    (state,) = states()
    assert state.name == "state-000000.npz"
    harm(state)
    done = deflicker(pair)
    assert Path("o.mkv").read_bytes() == pair[2]
    assert done["frames_encoded"] == FRAMES - 5
    assert not states()


def test_it_goes_on_from_the_state_and_not_from_the_beginning(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    """Or the other tests would pass without one."""
    until(pair, 8)
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
    assert seen == list(range(5, FRAMES))


def test_killed_at_a_frame_it_goes_on(pair: Pair, killed: Callable[..., None]) -> None:
    killed("deflicker", 18, *pair[:2], "o.mkv", settings=CAUSAL, device="cpu")
    assert [p.name for p in states()] == ["state-000003.npz"]
    assert deflicker(pair)["frames_encoded"] == FRAMES - 17
    assert Path("o.mkv").read_bytes() == pair[2]
