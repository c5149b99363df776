"""Chunks: every frame once, none across a cut, the same whatever was interrupted."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.core.errors import UsageError
from vidtrans.store.chunking import MAX_HOLD_CHUNKS, ClipPart, chunk_of, cut_into_chunks, read_ranges

repeatable = hypothesis_settings(max_examples=25)


@st.composite
def clips(draw: Any) -> tuple[int, int, list[int], int]:
    count = draw(st.integers(1, 120))
    shots = sorted({0, *draw(st.sets(st.integers(0, count - 1), max_size=8))})
    first = draw(st.integers(0, count - 1))
    return first, draw(st.integers(first + 1, count)), shots, draw(st.integers(1, 50))


@repeatable
@given(clips())
def test_no_chunk_spans_a_shot_and_each_knows_its_own(clip: tuple[int, int, list[int], int]) -> None:
    first, stop, shots, length = clip
    chunks = cut_into_chunks(first, stop, shots, length)
    for chunk in chunks:
        begin = max(s for s in shots if s <= chunk.first)
        end = min([s for s in shots if s > chunk.first], default=stop)
        assert (chunk.shot_first, chunk.shot_stop) == (max(begin, first), min(end, stop))
        assert chunk.shot_first <= chunk.first < chunk.stop <= chunk.shot_stop
        # Only the last of a shot's chunks is short.
        assert chunk.stop - chunk.first == length or chunk.stop == chunk.shot_stop
        assert chunk_of(chunks, chunk.first) == chunk_of(chunks, chunk.stop - 1) == chunk
    assert [c.number for c in chunks] == list(range(len(chunks)))
    assert cut_into_chunks(first, stop, shots[::-1], length) == chunks


@repeatable
@given(clips(), st.sets(st.integers(1, 119)))
def test_chunks_do_not_split_what_is_held(clip: tuple[int, int, list[int], int], held: set[int]) -> None:
    first, stop, shots, length = clip
    chunks = cut_into_chunks(first, stop, shots, length, held)
    assert [f for c in chunks for f in range(c.first, c.stop)] == list(range(first, stop))
    for before, chunk in pairwise(chunks):
        size = before.stop - before.first
        assert chunk.first not in held or chunk.first == chunk.shot_first or size == MAX_HOLD_CHUNKS * length
        assert size <= length or set(range(before.first + 1, before.stop)) <= held | {before.first}


def test_what_is_no_part_is_refused() -> None:
    for text in ("", "3", "0/8", "9/8", "3-2/8", "3-9/8", "-3/8", "a/8", "3/0", "1-1-1/8", "1/9999999"):
        with pytest.raises(UsageError, match="not a part of a clip"):
            ClipPart.parse(text)


def test_spans_hold_the_missing_chunks_and_what_the_filter_looks_at_and_stay_in_their_shot() -> None:
    chunks = cut_into_chunks(0, 40, [0, 20], 6)
    found = [([chunk.number for chunk in run], lo, hi) for run, lo, hi in read_ranges(chunks, [1, 2, 4, 6], 5)]
    assert found == [([1, 2], 1, 20), ([4], 20, 31), ([6], 27, 40)]
