"""Where frames are in key frames: which walks are taken, what is stored, and what another run finds."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from clips import moving_frames, write_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Progress
from vidtrans.flow.warping import warp
from vidtrans.painting.maps import KeyMaps, near_keys, tracking_ranges
from vidtrans.session import Context


@pytest.fixture
def clip() -> Clip:
    write_clip(Path("c.mkv"), moving_frames(12), codec="ffv1")
    return open_clip(Context(), Path("c.mkv"))


def found(clip: Clip, keys: list[int], context: Context) -> KeyMaps:
    maps = KeyMaps(clip, (0, 12), keys, context)
    maps.find()
    return maps


shot_lengths = st.lists(st.integers(1, 80), min_size=1, max_size=4)


@settings(max_examples=20)
@given(lengths=shot_lengths, data=st.data())
def test_every_frame_is_walked_to_from_each_key_frame_that_it_is_painted_from(
    lengths: list[int], data: st.DataObject
) -> None:
    edges = np.cumsum([0, *lengths]).tolist()
    shots = [range(a, b) for a, b in itertools.pairwise(edges)]
    numbers = st.integers(0, edges[-1] - 1)
    keys = sorted(data.draw(st.sets(numbers, max_size=8)))
    always = sorted(data.draw(st.sets(st.sampled_from(keys), max_size=2))) if keys else []
    taken = {(walk.key, walk.last > walk.key): walk for walk in tracking_ranges(keys, shots, always)}
    for shot in shots:
        for frame in shot:
            for key in near_keys(frame, keys, shot, always):
                assert key in shot
                walked = [] if key == frame else taken[key, frame > key].blocks
                assert sum(frame in block for block in walked) == int(key != frame)


def test_only_two_key_frames_on_either_side_count_but_for_those_that_always_do() -> None:
    keys, shot = [2, 10, 20, 30, 40, 50], range(60)
    assert near_keys(25, keys, shot) == [10, 20, 30, 40]
    assert near_keys(25, keys, shot, always=[2]) == [2, 10, 20, 30, 40]
    assert near_keys(20, keys, shot) == [2, 10, 20, 30, 40]
    assert near_keys(25, keys, range(24, 35)) == [30]


def test_frames_are_found_in_key_frames(clip: Clip) -> None:
    frames = moving_frames(12)
    maps = found(clip, [2, 9], Context())
    for frame in (0, 5, 11):
        for key, carried in maps.at(frame, 64, 48):
            error = np.abs(warp(frames[key].astype(np.float32), carried.flow) - frames[frame])
            assert error[carried.trust > 0.5].mean() < 4
            assert carried.trust.mean() > 0.5
    assert [key for key, _ in maps.at(9, 64, 48)] == [2, 9]
    assert np.all(maps.at(9, 64, 48)[1][1].trust == 1)
    maps.close()


def test_what_was_interrupted_ends_in_the_same_maps(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidtrans.painting.maps.BLOCK_FRAMES", 3)
    whole = found(clip, [1], Context(cache_dir=Path("whole")))
    seen = 0

    def report(event: object) -> None:
        nonlocal seen
        seen += isinstance(event, Progress)
        if seen == 6:
            context.stop.request(130)

    context = Context(cache_dir=Path("parts"), report=report)
    with pytest.raises(Interrupted):
        found(clip, [1], context)
    again = found(clip, [1], Context(cache_dir=Path("parts")))
    for frame in range(12):
        for (_, one), (_, other) in zip(whole.at(frame, 64, 48), again.at(frame, 64, 48), strict=True):
            assert np.array_equal(one.flow, other.flow)
            assert np.array_equal(one.trust, other.trust)
    whole.close()
    again.close()


def test_another_key_frame_finds_what_is_there(clip: Clip) -> None:
    context = Context()
    found(clip, [2], context).close()
    files = {path: path.stat().st_mtime_ns for path in context.cache.root.rglob("chunk-*.npz")}
    found(clip, [2, 7], context).close()
    assert files
    assert all(path.stat().st_mtime_ns == time for path, time in files.items())
