"""The small languages of the command line, and settings filled from tables."""

from __future__ import annotations

import errno
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import vidtrans.core.settings
from vidtrans.core import text_files
from vidtrans.core.errors import UsageError
from vidtrans.core.options import option
from vidtrans.core.settings import (
    LARGEST_SIDE,
    SMALLEST_SIDE,
    Size,
    Time,
    from_table,
    parse_assignment,
    parse_size,
    parse_time,
    read_toml,
    value_text,
)

repeatable = hypothesis_settings(max_examples=25)


@dataclass(frozen=True)
class Example:
    count: int = option(3, "a number", bounds=(1, 9))
    share: float = option(0.5, "a share", bounds=(0.0, 1.0))
    weight: float = option(1.0, "no upper bound", bounds=(0.0, None))
    kind: str = option("a", "a choice", choices=("a", "b"))
    on: bool = option(False, "a switch")
    crop: int | None = option(None, "a number or none", bounds=(16, None))
    blocks: tuple[int, ...] = option((1, 2), "numbers", bounds=(0, 9))

    def __post_init__(self) -> None:
        if self.on and self.count == 1:
            raise ValueError("on needs a count of 2")


@repeatable
@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_clock_times_seconds_and_frames_are_read_exactly(hours: int, minutes: int, seconds: int, ms: int) -> None:
    total = hours * 3600 + minutes * 60 + seconds
    exact = Time(seconds=Fraction(1000 * total + ms, 1000))
    text = f"{hours:02}:{minutes:02}:{seconds:02}.{ms:03}"
    assert parse_time(text) == parse_time(f"{total}.{ms:03}s") == exact
    assert parse_time(text if hours else text.partition(":")[2]) == exact
    assert parse_time(f" {total} ") == Time(frame=total)


@repeatable
@given(st.one_of(st.integers(0, 10**9).map(str), st.integers(0, 10**8).map(lambda ms: f"{ms // 1000}.{ms % 1000:03}s")))
def test_a_time_is_shown_as_it_would_be_typed(text: str) -> None:
    """The records by which a result counts as up to date hold this text: two times must not share one."""
    assert parse_time(str(parse_time(text))) == parse_time(text)


@pytest.mark.parametrize(
    ("parse", "texts", "forms"),
    [
        (parse_time, ["", "-3", "1.5", "1e3s", "1:60", "1:60:00", "١٢", "1:2:3:4"], r"HH:MM:SS\.mmm"),
        (parse_size, ["", "15", "8193", "-256", "256px", "640x", "640x360x2", "640x8", "٢٥٦"], "16 to 8192"),
        (parse_assignment, ["", "=1", "a.lr", "a.=1", ".lr=1", "a.b.c=1", "Training.lr=1"], r"table\.key=value"),
    ],
)
def test_what_is_not_as_asked_is_refused_with_the_forms_that_are(
    parse: Callable[[str], Any], texts: list[str], forms: str
) -> None:
    for text in texts:
        with pytest.raises(UsageError, match=forms):
            parse(text)


sides = st.integers(SMALLEST_SIDE, LARGEST_SIDE)


@repeatable
@given(st.one_of(st.builds(Size, short=sides), st.builds(Size, exact=st.tuples(sides, sides)), st.just(Size())))
def test_a_size_survives_being_written_and_read(size: Size) -> None:
    assert parse_size(str(size)) == size


def test_sizes_are_read_in_every_spelling() -> None:
    assert parse_size(256) == parse_size(" 256 ") == Size(short=256)
    assert parse_size("640X360") == parse_size("640×360") == Size(exact=(640, 360))
    assert parse_size("Source") == Size()
    assert (Size().of(90, 7), Size(exact=(64, 48)).of(90, 7)) == ((90, 7), (64, 48))
    least = Size(short=100, least=50)  # which enlarges what is smaller
    assert [least.of(2 * side, side) for side in (20, 70, 200)] == [(100, 50), (140, 70), (200, 100)]


@repeatable
@given(sides, st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_short_side_keeps_the_aspect_and_never_scales_up(short: int, width: int, height: int) -> None:
    w, h = Size(short=short).of(width, height)
    assert 1 <= w <= width
    assert 1 <= h <= height
    assert min(w, h) == min(short, width, height)
    # Within half a pixel of the exact aspect.
    assert abs(w * height - h * width) <= max(width, height) / 2


names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
values = st.recursive(
    st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=9) | st.floats(-9, 9), st.lists, max_leaves=5
)


@repeatable
@given(names, names, values)
def test_an_assignment_gives_back_what_was_assigned_however_it_is_written(table: str, key: str, value: object) -> None:
    text = value_text(value)
    assume("\n" not in text and text == text.strip())
    assert parse_assignment(f"{table}.{key}={text}") == (table, key, value)


NO_NUMBERS = (math.nan, math.inf, 10**400)  # TOML has the first two; of none a key or a record could be made later
WRONG: dict[str, tuple[object, ...]] = {
    "count": (1.5, True, "3", None),
    "share": ("much", False, *NO_NUMBERS),
    "weight": NO_NUMBERS,
    "kind": (1.5,),
    "on": (1,),
    "crop": ("all",),
}


@pytest.mark.parametrize("key", [*WRONG, "blocks"])
def test_a_wrong_type_is_refused_by_name(key: str) -> None:
    for value in WRONG.get(key, (3, [1.5], ["1"])):
        with pytest.raises(UsageError, match=rf"example\.{key} = .*it must be"):
            from_table(Example, {key: value}, "example")


def test_what_is_out_of_bounds_is_refused_with_the_bound() -> None:
    for key, value, bound in (
        ("count", 0, "1 to 9"),
        ("count", 10, "1 to 9"),
        ("share", 1.01, "0.0 to 1.0"),
        ("crop", 15, "at least 16"),
        ("blocks", [1, 10], "0 to 9"),
        ("kind", "c", "a, b"),
    ):
        with pytest.raises(UsageError, match=re.escape(bound)):
            from_table(Example, {key: value}, "example")
    with pytest.raises(UsageError, match="on needs a count of 2"):  # they do not fit together
        from_table(Example, {"on": True, "count": 1}, "example")


def test_a_toml_file_that_may_not_be_read_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:  # a mode would not stop the superuser
        raise PermissionError(errno.EACCES, "Permission denied")

    Path("mine.toml").touch()
    monkeypatch.setattr(text_files, "read_small_file", refuse)
    with pytest.raises(UsageError, match="permission denied — make the file readable"):
        read_toml(Path("mine.toml"))


PATH = r"C:\new\table.onnx"  # with the escapes of a line break and of a tab


@pytest.fixture
def on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vidtrans.core.settings, "WINDOWS", True)


@pytest.mark.usefixtures("on_windows")
def test_a_path_is_the_value_of_a_setting() -> None:
    escaped = PATH.replace("\\", "\\\\")
    for text in (PATH, f'"{PATH}"', f"'{PATH}'", f'"{escaped}"'):
        assert parse_assignment(f"pairing.model={text}") == ("pairing", "model", PATH)
    for text in (r"\\server\share\m.onnx", r"\\\\server\\share\\m.onnx"):
        assert parse_assignment(f'pairing.model="{text}"')[2] == r"\\server\share\m.onnx"


def test_a_path_with_backslashes_in_a_file_of_settings_gets_a_remedy() -> None:
    file = Path("vidtrans.toml")
    file.write_text('[pairing]\nmodel = "C:\\models\\m.onnx"\n', "utf-8")
    with pytest.raises(UsageError, match="single quotes"):
        read_toml(file)
    file.write_text("[pairing]\nmodel = 'C:\\models\\m.onnx'\n", "utf-8")
    assert read_toml(file)["pairing"]["model"] == r"C:\models\m.onnx"
