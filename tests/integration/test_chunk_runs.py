"""A long clip spread over processes: the bytes that one would make, whatever becomes of them."""

from __future__ import annotations

import os
import shutil
import time
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from chain import said, said_json, vidtrans, vidtrans_json
from clips import moving_frames
from directed_clip import lossless
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import HANG_S, KILL, Started, workers
from under_test import put_first

from vidtrans.batch.scheduler import Scheduler
from vidtrans.rendering.parts import MIN_PART_FRAMES, cut
from vidtrans.store.chunking import Chunk

LENGTHS = st.lists(st.tuples(st.integers(1, 300), st.booleans()), max_size=30)


def missing_of(chunks: list[tuple[int, bool]], chunks_of_a_shot: int = 1000) -> list[Chunk]:
    """The chunks that are missing; the number of a shot stands for its first frame."""
    ends = [*accumulate((length for length, _ in chunks), initial=0)]
    made = (Chunk(n, *ends[n : n + 2], n // chunks_of_a_shot, 10**6) for n in range(len(chunks)))
    return [chunk for chunk, (_, is_missing) in zip(made, chunks, strict=True) if is_missing]


@settings(max_examples=50)
@given(LENGTHS, st.integers(1, 9))
def test_parts_are_what_is_missing_in_order_and_worth_their_while(chunks: list[tuple[int, bool]], count: int) -> None:
    missing = missing_of(chunks)
    parts = cut(missing, count)
    covered = [c.number for first, stop in parts for c in missing if first <= c.number < stop]
    assert covered == [c.number for c in missing]
    assert len(parts) <= count
    frames = [sum(c.stop - c.first for c in missing if first <= c.number < stop) for first, stop in parts]
    longest = max((c.stop - c.first for c in missing), default=0)
    least = MIN_PART_FRAMES - longest if len(parts) > 1 else 0
    assert all(least <= number <= sum(frames) / len(parts) + longest for number in frames)


@settings(max_examples=50)
@given(LENGTHS, st.integers(1, 9), st.integers(1, 5))
def test_parts_of_what_goes_on_from_frame_to_frame_have_whole_shots(
    chunks: list[tuple[int, bool]], count: int, chunks_of_a_shot: int
) -> None:
    missing = missing_of(chunks, chunks_of_a_shot)
    own = [[c for c in missing if first <= c.number < stop] for first, stop in cut(missing, count, whole_shots=True)]
    assert [c for part in own for c in part] == missing
    assert all(a[-1].shot_first < b[0].shot_first for a, b in pairwise(own))
    assert len(own) <= count


SHORT_FRAMES, LONG_FRAMES = 120, 360  # both are divided, with the parts of support/short_parts


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = moving_frames(120, size=(48, 32), shots=(0, 50))
    return lossless(tmp_path_factory.mktemp("long") / "long.mov", frames * (LONG_FRAMES // 120))


@pytest.fixture
def long(shot: Path, tmp_path: Path, short_parts: None) -> Path:
    """A clip that takes so long that what it is divided into can be watched."""
    return Path(shutil.copy2(shot, tmp_path))


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started from now on divide short clips in two."""
    put_first(monkeypatch, Path(__file__).parents[1] / "support" / "short_parts")


@pytest.fixture
def short(short_parts: None) -> Path:
    return lossless(Path("short.mov"), moving_frames(SHORT_FRAMES, size=(48, 32), shots=(0, 50)))


def arguments(clip: Path, model: object, *more: str) -> list[str]:
    chunks = ("--set", "rendering.chunk_frames=40", "--device", "cpu")
    return ["stylize", str(clip), "--model", str(model), *chunks, *more]


def test_two_processes_make_one_clip_as_one_does(short: Path, tiny_model: Path) -> None:
    """Through the causal filter; the test of the cache has the other one."""
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
def test_a_process_that_is_lost_costs_its_part(long: Path) -> None:
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


@pytest.mark.thorough
def test_cleaning_the_cache_between_the_parts_leaves_what_they_share(
    program: Path, short: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--filter-source", "hflip", "--temporal", "window")
    said(capsys, 0, *arguments(short, "identity", *flags, "-o", "one.mp4", "--cache-dir", "one"))
    submit, tries = Scheduler._submit, 0
    deleted: set[str] = set()

    def clean_and_submit(run: Scheduler) -> None:
        nonlocal tries
        entries = [e for e in run.context.cache.entries() if e.stage in ("filter", "render")]
        if run.divided._parts and run.outcomes[0].state == "pending":
            tries += len(entries)
            deleted.update(entry.stage for entry in entries if entry.delete())
        submit(run)

    monkeypatch.setattr(Scheduler, "_submit", clean_and_submit)
    said(capsys, 0, *arguments(short, "identity", *flags, "-o", "two.mp4", "--jobs", "2"))
    assert tries > 0
    assert not deleted
    assert Path("two.mp4").read_bytes() == Path("one.mp4").read_bytes()
    monkeypatch.undo()
    assert said_json(capsys, "cache", "clean")["kept"] == 0
