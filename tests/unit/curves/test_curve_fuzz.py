"""Random expressions, curve texts and files of values: each is a curve, or one line that says how to correct it."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import at_most

from vidtrans.core.errors import UsageError
from vidtrans.curves.curve import EASINGS, Curve, CurveClock, parse_curve
from vidtrans.curves.expressions import FUNCTIONS, NAMES, TIME_NAMES
from vidtrans.curves.tracks import read_data

NAME, LOW, HIGH = "--strength", 0.0, 2.0
NUMBERS = ("0", "1", "0.5", ".5", "1.", "2e3", "1e999", "1e-999", "9" * 400, "9" * 5000, "00", "1e308")
MOMENTS = ("0", "5", "2.5s", "1:02", "0:00:01.5", "99999999999s", "9" * 90, "9" * 5000 + "s", "-1", "1e9", "s", "")
PIECES = (
    *"()+-*/^,:.;'\"=<>[]{}!@#$%&|\\~` \t\n\r\0∞٣ａ\ud800",
    *("**", "//", "==", ":=", "'a.csv:x'", "'D:\\a.csv'", "'x, y.csv'", "a.mid", "b.json:c", "''"),
    *("__import__('os')", "t.real", "lambda: t", "[t]", "f'{t}'", "1j", "0x1", "1_0", "inf", "nan", "None"),
)


class SteadySignals:
    """Gives every signal the same values, so that no file is read."""

    def values(self, signals: Any, times: np.ndarray) -> dict[Any, np.ndarray]:
        return {signal: np.linspace(0, 1, len(times)) for signal in signals}


CURVES = (
    "-(1 + 0.5)*sin(2*pi*t)^2/3 - noise(frame)",
    "clamp(min(1, t, frame), 0, max(2, 3)) + floor(mod(t, 2)) + sqrt(exp(abs(cos(t))))",
    "smoothstep(0, 1, t)",
    "0: 0.5, 5: 1 ease, 2.5s: band(80, 200) ease-in, 1:02: on_beat(0.2)*2 hold, 0:02:01.5: on_onset() ease-out",
    "smooth(follow(low, 1), s=2)*'a.csv:x' + 'b.mid:cc1'",
    "0: (loudness), 9: min(onset, beat), 99999999999s: bar",
)


def mutated(chance: random.Random, text: str) -> str:
    """Return a text in which up to two pieces were deleted, repeated, moved or inserted."""
    for _ in range(chance.randint(0, 2)):
        first, last = sorted((chance.randint(0, len(text)), chance.randint(0, len(text))))
        more = chance.choice([PIECES, NAMES, FUNCTIONS, EASINGS, NUMBERS, MOMENTS])
        piece = chance.choice([*more, text[first:last], text[first:last] * 50])
        text = chance.choice(
            [text[:first] + piece + text[first:], text[:first] + text[last:], text[:first] + piece + text[last:]]
        )
    return text


def texts(seed: int, count: int) -> Iterator[str]:
    for n in range(count):
        chance = random.Random(seed * 1_000_003 + n)
        yield mutated(chance, chance.choice(CURVES))


def check_line(error: UsageError, text: str) -> None:
    assert error.remedy, text
    assert len(str(error).splitlines()) == 1, text
    assert len(str(error)) < 4000, text


def judged(text: str) -> Curve | None:
    """Return the curve of a text; None where it has an error, which is one line with a remedy."""
    curve: Curve | None = None
    try:
        curve = parse_curve(text, NAME, LOW, HIGH)
        value = curve.over(CurveClock.of_rate(Fraction(25), 50, SteadySignals()), NAME, LOW, HIGH)
        for frame in (0, 1, 25, 49):
            assert LOW <= value(frame) <= HIGH
    except UsageError as error:
        check_line(error, text)
    return curve


def check_normal_form(curve: Curve, text: str) -> None:
    assert "inf" in str(curve) or str(parse_curve(str(curve), NAME)) == str(curve), text
    assert all(one.names <= set(TIME_NAMES) for one in curve.expressions)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(2, 12))])
def test_random_texts_are_curves_or_one_line(seed: int) -> None:
    num_curves = 0
    for text in texts(seed, 400 if seed == 1 else 2000):
        with at_most():
            curve = judged(text)
        if curve is not None:
            num_curves += 1
            check_normal_form(curve, text)
    assert num_curves > 40


HOSTILE = (
    *("1e999", "9^9^9^9", "0^-1", "(-8)^0.5", "noise(1e308)", "noise(1e999)", "mod(1, 0)", "mod(1e308, 1e-308)"),
    *("floor(1e999)", "exp(1e6)", "smoothstep(1, 1, 1)", "1e308*10 - 1e308*10", "sin(1e999)"),
    *("99999999999s: 1", f"{'9' * 5000}: 1", f"{'9' * 5000}s: 1", "5: 1, 0: 2", "0: 1, 0: 2, 0: 0.5"),
    *("(" * 10_000, "-" * 10_000, "^".join(["2"] * 5000), "+".join(["t"] * 149), "^".join(["2"] * 149), "9" * 19_999),
    *("a" * 19_999, ":" * 19_999, "," * 19_999, "'" * 19_999, ".csv:" * 3999, "x" + " " * 19_000 + "y", "0: 1," * 4001),
    *("smooth(" * 2000, "0: 1" + " ease" * 3000, "'a:b.csv:c'", "0: 'x, y.csv' ease", "'unbalanced.csv", "a.csv:'"),
    *("t.__class__", "(lambda: 1)()", "min(*t, 1)", "min(x=1, y=2)", "t[0]", "'a' + 'b'", "eval('1')", "1\0"),
)


def test_a_text_that_is_meant_to_harm_is_a_curve_or_one_line() -> None:
    for text in HOSTILE:
        with at_most():
            judged(text)


def midi(*tracks: bytes, division: int = 96, kind: int = 1) -> bytes:
    """Return a MIDI file with these events."""
    whole = b"MThd" + struct.pack(">IHHH", 6, kind, len(tracks), division)
    for events in tracks:
        data = events + b"\x00\xff\x2f\x00"
        whole += b"MTrk" + struct.pack(">I", len(data)) + data
    return whole


NOTE, TEMPO = b"\x00\x90\x3c\x40\x83\x60\x80\x3c\x40", b"\x00\xff\x51\x03"
WRONG_FILES: dict[str, bytes | Callable[[], bytes]] = {
    "field.csv": b'time,v\n0,"' + b"a" * 200_000 + b'"\n1,2\n',
    "quote.csv": b'time,v\n0,"1\n1,2\n',
    "seconds.csv": b"time,v\n" + b"9" * 400 + b"s,1\n",
    "digits.csv": b"frame,v\n" + b"9" * 5000 + b",1\n",
    "wide.csv": lambda: ",".join(["time", *map(str, range(900))]).encode() + b"\n0,1" * 12_000,
    "wide.json": lambda: json.dumps([{"frame": n} | {f"c{n}_{k}": 1 for k in range(20)} for n in range(900)]).encode(),
    "deep.json": b"[" * 200_000 + b"]" * 200_000,
    "digits.json": b'[{"frame": ' + b"9" * 5000 + b', "v": 1}]',
    "nan.json": b'[{"frame": NaN, "v": 1}]',
    "division.mid": midi(TEMPO + b"\x07\xa1\x20" + NOTE, division=0),
    "key.mid": midi(b"\x00\xff\x59\x02\x55\x55" + NOTE),
    "asynchronous.mid": midi(NOTE, kind=2),
    "large.mid": lambda: midi(NOTE + b"\x01\x3c\x40" * 1_000_000),
    "sysex.mid": midi(b"\x00\xf0\xff\xff\xff\x7f"),
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_a_file_that_is_meant_to_harm_is_one_line(tmp_path: Path, name: str) -> None:
    if name.endswith(".mid"):
        pytest.importorskip("mido")
    content = WRONG_FILES[name]
    (tmp_path / name).write_bytes(content() if callable(content) else content)
    with at_most(), pytest.raises(UsageError) as caught:
        read_data(tmp_path / name)
    assert caught.value.remedy
    assert len(str(caught.value).splitlines()) == 1


VALID = {
    ".csv": b"time,glow,other\n0,0.5,x\n1.5s,0.25,\n00:02,1e3,nan\n",
    ".json": json.dumps({"rendered_frames": [{"frame": n, "a": n / 3, "b": None} for n in range(4)]}).encode(),
    ".mid": midi(TEMPO + b"\x07\xa1\x20" + NOTE + b"\x10\xb0\x07\x7f\x10\xe0\x00\x40\x00\xff\x59\x02\x00\x00", NOTE),
}


def test_mutated_files_are_values_or_one_line(tmp_path: Path) -> None:
    pytest.importorskip("mido").MidiFile()
    num_read = 0
    for n in range(300):
        chance, suffix = random.Random(1_000_003 + n), list(VALID)[n % 3]
        path, data = tmp_path / f"a{suffix}", VALID[suffix]
        for _ in range(chance.randint(1, 3)):
            at, length = chance.randrange(len(data) + 1), chance.randrange(4)
            pieces = [chance.randbytes(length), b"\xff" * length, data[at : at + 40], b"9" * 400, b"\n", b'"']
            data = data[:at] + chance.choice(pieces) + data[at + chance.randrange(4) :]
        path.write_bytes(data)
        try:
            found = read_data(path)
            for column in found.columns:
                assert np.isfinite(found.track(column, lambda frames: frames / 25)(np.array([0.0, 1.0]))).all()
            num_read += 1
        except UsageError as error:
            check_line(error, str(data))
    assert num_read > 30
