"""Frames in one piece of memory: as a list that is appended to and cut off at its beginning."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidtrans.temporal.rolling_buffer import RollingBuffer


def numbered(first: int, count: int) -> torch.Tensor:
    return torch.arange(first, first + count, dtype=torch.float32)[:, None].expand(-1, 3).contiguous()


@pytest.fixture
def buffer() -> RollingBuffer:
    return RollingBuffer(3, device=torch.device("cpu"))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 7), st.integers(0, 9), st.booleans()), max_size=20))
def test_it_holds_what_was_added_and_not_dropped(steps: list[tuple[int, int, bool]]) -> None:
    buffer, first, stop = RollingBuffer(3, device=torch.device("cpu")), 0, 0
    for added, dropped, trimmed in steps:
        buffer.append(numbered(stop, added))
        stop += added
        buffer.drop(first + dropped)
        first = min(first + dropped, stop)
        if trimmed:
            buffer.trim()
        assert (buffer.first, buffer.stop) == (first, stop)
        assert torch.equal(buffer[first:stop], numbered(first, stop - first))


def test_frames_that_were_not_committed_are_written_again(buffer: RollingBuffer) -> None:
    buffer.append(numbered(0, 4))
    buffer.reserve(2).fill_(9)
    assert buffer.stop == 4
    buffer.append(numbered(4, 3))
    assert torch.equal(buffer[0:7], numbered(0, 7))


def test_it_does_not_grow_where_as_many_are_dropped_as_are_added(buffer: RollingBuffer) -> None:
    sizes = set()
    for batch in range(10):
        buffer.drop(4 * batch - 6)
        buffer.append(numbered(4 * batch, 4))
        sizes.add(buffer[buffer.stop - 1 : buffer.stop].untyped_storage().nbytes())
    assert max(sizes) == 10 * 3 * 4


def test_frames_that_are_not_there_are_an_error(buffer: RollingBuffer) -> None:
    buffer.append(numbered(0, 6))
    buffer.drop(2)
    for wanted in (slice(1, 4), slice(3, 8), slice(5, 4)):
        with pytest.raises(IndexError):
            buffer[wanted]
