from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidtrans.core.errors import UsageError
from vidtrans.live.protocol import (
    FRAME,
    MAX_MESSAGE,
    FrameMessage,
    PictureMessage,
    pack_frame,
    pack_picture,
    parse_frame,
    parse_picture,
)

quick = settings(max_examples=30)
words = st.integers(0, 2**32 - 1)
times = st.floats(allow_nan=False)
short = st.floats(width=32, allow_nan=False)


@quick
@given(st.sampled_from(["picture", "drawing"]), words, times, st.binary(min_size=1, max_size=64))
def test_a_frame_comes_back_as_it_was(kind: str, sequence: int, timestamp: float, file: bytes) -> None:
    frame = FrameMessage(kind, sequence, timestamp, file)  # type: ignore[arg-type]
    assert parse_frame(pack_frame(frame)) == frame


files = st.binary(max_size=64)


@quick
@given(st.tuples(st.integers(1, 3), words, times, words, short, short, files, files))
def test_a_picture_comes_back_as_it_was(values: tuple[int, int, float, int, float, float, bytes, bytes]) -> None:
    picture = PictureMessage(*values)
    assert parse_picture(pack_picture(picture)) == picture


@quick
@given(st.binary(max_size=200))
def test_junk_is_refused_or_read_and_never_an_error_of_another_kind(data: bytes) -> None:
    try:
        frame = parse_frame(data)
    except UsageError:
        return
    assert pack_frame(frame) == data


def test_a_header_of_another_version_or_kind_and_a_message_that_is_too_long_are_refused() -> None:
    for header in ((2, 1, 0, 1, 0.0), (1, 9, 0, 1, 0.0), (1, 0, 0, 1, 0.0), (1, 1, 7, 1, 0.0)):
        with pytest.raises(UsageError, match="header"):
            parse_frame(FRAME.pack(*header) + b"file")
    with pytest.raises(UsageError, match="bytes"):
        parse_frame(FRAME.pack(1, 1, 0, 1, 0.0) + bytes(MAX_MESSAGE))
