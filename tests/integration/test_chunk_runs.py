"""A long clip spread over processes: the bytes that one would make, whatever becomes of them."""

from __future__ import annotations

import os
import time
from itertools import accumulate
from pathlib import Path

import pytest
from chain import vidtrans, vidtrans_json
from clips import moving_frames
from directed_clip import lossless
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import HANG_S, KILL, Started, workers
from under_test import put_first

from vidtrans.rendering.parts import MIN_PART_FRAMES, split_into_parts
from vidtrans.store.chunking import Chunk

LENGTHS = st.lists(st.tuples(st.integers(1, 300), st.booleans()), max_size=30)


def missing_of(chunks: list[tuple[int, bool]]) -> list[Chunk]:
    """The chunks that are missing, of one shot."""
    ends = [*accumulate((length for length, _ in chunks), initial=0)]
    made = (Chunk(n, *ends[n : n + 2], 0, 10**6) for n in range(len(chunks)))
    return [chunk for chunk, (_, is_missing) in zip(made, chunks, strict=True) if is_missing]


@settings(max_examples=25)
@given(LENGTHS, st.integers(1, 9))
def test_parts_are_what_is_missing_in_order_and_worth_their_while(chunks: list[tuple[int, bool]], count: int) -> None:
    missing = missing_of(chunks)
    parts = split_into_parts(missing, count)
    covered = [c.number for first, stop in parts for c in missing if first <= c.number < stop]
    assert covered == [c.number for c in missing]
    assert len(parts) <= count
    frames = [sum(c.stop - c.first for c in missing if first <= c.number < stop) for first, stop in parts]
    longest = max((c.stop - c.first for c in missing), default=0)
    least = MIN_PART_FRAMES - longest if len(parts) > 1 else 0
    assert all(least <= number <= sum(frames) / len(parts) + longest for number in frames)


SHORT_FRAMES = 120  # it is divided, with the parts of support/short_parts


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started from now on divide short clips in two."""
    put_first(monkeypatch, Path(__file__).parents[1] / "support" / "short_parts")


def arguments(clip: Path, model: object, *more: str) -> list[str]:
    chunks = ("--set", "rendering.chunk_frames=40", "--device", "cpu")
    return ["stylize", str(clip), "--model", str(model), *chunks, *more]


def test_two_processes_make_one_clip_as_one_does(short_parts: None, tiny_model: Path) -> None:
    short = lossless(Path("short.mov"), moving_frames(SHORT_FRAMES, size=(48, 32), shots=(0, 50)))
    common = ("--temporal", "causal", "--size", "32")
    one = vidtrans_json(*arguments(short, tiny_model, *common, "-o", "one.mp4", "--cache-dir", "one"))
    two = vidtrans_json(*arguments(short, tiny_model, *common, "-o", "two.mp4", "--jobs", "2"))
    assert Path("one.mp4").read_bytes() == Path("two.mp4").read_bytes()
    assert two["frames_encoded"] == one["frames_encoded"] == SHORT_FRAMES
    painted = [table["frames_inferred"] + table.get("frames_spared", 0) for table in (one, two)]
    assert painted[1] >= painted[0] == SHORT_FRAMES
    again = vidtrans_json(*arguments(short, tiny_model, *common, "-o", "two.mp4", "--jobs", "2"))
    assert again["cached"] is True
    assert not Path("vidtrans-batch.json").exists()


@pytest.mark.thorough
def test_a_process_that_is_lost_costs_its_part(short_parts: None) -> None:
    long = lossless(Path("long.mov"), moving_frames(SHORT_FRAMES, size=(48, 32), shots=(0, 50)) * 3)
    vidtrans(*arguments(long, "identity", "--temporal", "window", "-o", "one.mp4", "--cache-dir", "one"))
    command = arguments(long, "identity", "--temporal", "window", "-o", "two.mp4", "--jobs", "2")
    process = Started.vidtrans(*command)
    lost, deadline = False, time.monotonic() + HANG_S  # a quick machine may be done before anything can be lost
    while process.poll() is None and time.monotonic() < deadline:
        if not lost and list(Path(".vidtrans/render").rglob("chunk-*.json")) and len(workers()) == 2:
            os.kill(workers()[0], KILL)
            lost = True
        time.sleep(0.01)
    assert process.wait() == 0, process.said()
    told = process.said()[1]
    assert ("restarted" in told) == lost
    assert Path("two.mp4").read_bytes() == Path("one.mp4").read_bytes()
    assert not workers()
