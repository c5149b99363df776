"""Which number in a name is the frame's, and which pictures of two sequences go together."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.video.frame_numbers import align, frame_numbers, likely_numbers
from vidtrans.video.io.picture_paths import in_natural_order

repeatable = hypothesis_settings(max_examples=30)
# What names have beside the frame's number, and none of it is one.
OTHERS = ["v2", "V03", "v_7", "ver4", "rev1", "take2", "1920x1080", "4096×2160", "1080p", "720p50", "4k", "24fps", "x4"]
OTHERS += ["2x", "20240131", "rec709", "h264", "seed8125", "crf18", "16bit", "75pct"]
OTHERS += ["a3f09c1", "2024-01-31_10-22-33", "shot010", "sh020", "cam2", "final3", "12.5s"]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("0041.png", 41),
        ("frame-41_7.png", 41),
        ("shot010_1920x1080_v03_0041.png", 41),
        ("41 (1).png", 41),
        ("41_copy 2.png", 41),
        ("layer 2 frame 41.png", 41),
        ("ComfyUI_00012_.png", 12),
        ("AB_010_0020_cmp_v02.1041.exr", 1041),
        ("00041-3841923847.png", 41),
        ("41_cfg7.5_v1.2.png", 41),
        ("final_v2.png", None),
        ("clip 00-00-01-16.png", None),
        ("IMG_20240131_102233.jpg", None),
    ],
)
def test_the_number_of_a_frame_is_known_by_its_place(name: str, number: int | None) -> None:
    assert next(iter(likely_numbers(name)), None) == number
    assert frame_numbers([name]) == [number]


@pytest.mark.parametrize(
    ("form", "written", "numbers"),
    [
        ("shot.{}.exr", ["-0003", "-0002", "0000", "0001"], [-3, -2, 0, 1]),  # Blender
        ("shot.{}.exr", ["-003", "-002", "-001"], [-3, -2, -1]),  # Nuke
        ("v2_shot_{}_1920x1080.png", ["-10", "-9", "5"], [-10, -9, 5]),
        ("shot{}.exr", ["-0002", "-0001", "0000"], [-2, -1, 0]),  # glued: with others without a dash, it is a sign
        ("a-{}.png", ["-2", "3"], [-2, 3]),
        ("shot-{}.exr", ["0001", "0002", "0010"], [1, 2, 10]),  # in all of them it separates
        ("2024-01-{}.png", ["02", "03", "15"], [2, 3, 15]),
    ],
)
def test_numbers_may_be_negative(form: str, written: list[str], numbers: list[int]) -> None:
    names = [form.format(text) for text in written]
    assert frame_numbers(names) == numbers
    paths = [Path("sequence", name) for name in names]
    assert in_natural_order(reversed(paths)) == paths


@pytest.mark.parametrize(
    ("form", "numbers"),
    [
        ("p{}.png", [1, 2, 3, 4]),  # p3 is also a name of primaries
        ("clip2024_{:04}.png", [98, 99, 100, 101]),  # 2024_0101 is not a date: another sign stands between
        ("ab_2010.{}.exr", [1001, 1031, 1032, 1100]),
        ("{}.png", [20240101, 20240102]),
    ],
)
def test_what_looks_like_a_date_or_a_codec_in_some_names_is_a_number(form: str, numbers: list[int]) -> None:
    assert frame_numbers([form.format(n) for n in numbers]) == numbers


def names(numbers: object, form: str = "{:04}.png") -> list[str]:
    return [form.format(n) for n in numbers]  # type: ignore[attr-defined]


@repeatable
@given(st.integers(5, 40), st.sampled_from([1, 1001, 86_400]), st.data())
def test_what_counts_from_another_number_is_moved_and_that_is_said(count: int, begin: int, data: st.DataObject) -> None:
    missing = data.draw(st.sets(st.integers(1, count - 2), max_size=2))
    own = [n for n in range(count) if n not in missing]
    found = align(range(count), names(n + begin for n in own), 0, count)
    assert found.steps == tuple(own.index(n) if n in own else None for n in range(count))
    assert bool(found.remark) == bool(missing)
    assert not missing or found.remark == f"numbered from {begin}, the other from 0"


@pytest.mark.parametrize(
    ("whole", "own", "span", "way", "steps"),
    [
        (["cat.png", "dog.png", "fox.png"], ["cat.jpg", "fox.jpg"], (0, 3), "name", (0, None, 1)),
        (["a.png", "b.png", "c.png"], ["a.png", "c.png", "x.png"], (0, 3), "name", (0, None, 1)),
        (["a.png", "b.png"], ["x.png", "y.png"], (0, 2), "order", (0, 1)),
        (names([1, 1], "a{}_x.png"), ["x.png"], (0, 2), "order", (0, None)),
        (range(40), names(range(10), "{}.png"), (25, 35), "number", tuple(range(10))),  # the rendered part
        (range(40), names(range(5, 30)), (0, 10), "number", (*[None] * 5, *range(5))),  # no shift: all are in it
        (names(range(1, 31)), names(range(10, 31), "m{}.png"), (0, 12), "number", (*[None] * 9, 0, 1, 2)),
    ],
)
def test_names_come_before_numbers_and_the_order_last(
    whole: list[str] | range, own: list[str], span: tuple[int, int], way: str, steps: tuple[int | None, ...]
) -> None:
    found = align(whole, own, *span)
    assert (found.criterion, found.steps) == (way, steps)
    assert bool(found.remark) == (way == "order")


def test_a_start_and_pair_folders_say_how_to_count() -> None:
    assert align(range(4), names(range(5, 9)), 0, 4, counting="together").steps == (0, 1, 2, 3)
    assert align(names(range(7, 13)), names(range(6, 13)), 0, 6, counting="together").steps == (1, 2, 3, 4, 5, 6)
    assert align(names(range(1, 7)), names(range(6, 13)), 0, 6, counting="together").steps == (0, 1, 2, 3, 4, 5)
    assert align(names([1, 2, 3]), names([2, 3, 4], "b{}.png"), 0, 3, counting="equal").steps == (None, 0, 1)
