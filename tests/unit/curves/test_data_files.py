"""Files of values: CSV, JSON and MIDI, read as functions of time, and slips in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vidtrans.core.errors import UsageError
from vidtrans.curves.tracks import digest_value_file, read_data


def column(path: Path, name: str, *times: float) -> list[float]:
    return read_data(path).track(name, lambda frames: frames / 10)(np.array(times)).tolist()


def test_a_column_changes_linearly_between_its_times(tmp_path: Path) -> None:
    for text in (
        "time,glow,other\n0,0,5\n2,1,5\n",
        "\ufefftime;glow;other\n0;0;5\n2;1;5\n",
        "Frame\tglow\tother\n0\t0\t5\n20\t1\t5\n",
        "glow,other,seconds\n1,5,2\n0,5,0\n",  # not in order
        "time,glow,other\n00:00,0,5\n00:02,1,5\n",
        "time,glow,other\n0,0,5\n1,,5\n2,1,5\n",  # a gap
    ):
        path = tmp_path / "a.csv"
        path.write_text(text, encoding="utf-8")
        assert column(path, "glow", -1, 0, 0.5, 2, 9) == pytest.approx([0, 0, 0.25, 1, 1]), text


def test_parseq_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    frames = [{"frame": n, "strength": n / 10, "prompt": "a cat", "seed": -1} for n in range(11)]
    for table in ({"keyframes": [{"frame": 0, "strength": 9}], "rendered_frames": frames}, frames):
        path.write_text(json.dumps(table))
        assert column(path, "strength", 0, 0.55, 2) == pytest.approx([0, 0.55, 1])


def test_a_channel_of_midi_is_a_part_of_its_columns_names(tmp_path: Path) -> None:
    mido = pytest.importorskip("mido")
    song = mido.MidiFile(ticks_per_beat=500)  # half a second
    kinds = {"cc": "control_change", "on": "note_on", "off": "note_off", "wheel": "pitchwheel"}
    messages = [
        mido.Message(kinds[kind], channel=channel, time=500, **more)
        for kind, channel, more in (
            ("cc", 0, {"control": 7, "value": 127}),
            ("cc", 3, {"control": 7, "value": 0}),
            ("on", 0, {"note": 60, "velocity": 127}),
            ("on", 9, {"note": 60, "velocity": 0}),
            ("off", 0, {"note": 60, "velocity": 64}),
            ("wheel", 15, {"pitch": -8192}),
        )
    ]
    song.tracks.extend([mido.MidiTrack(messages[:2]), mido.MidiTrack(messages[2:])])
    song.tracks[1][0].time = 1500
    song.save(str(path := tmp_path / "a.mid"))
    assert column(path, "ch1.cc7", 0.4, 0.5, 1.0, 9) == [0, 1, 1, 1]
    assert column(path, "ch4.cc7", 0.5, 1.0) == [0, 0]
    assert column(path, "cc7", 0.5, 1.0) == [1, 0]  # the last message of any channel
    assert column(path, "ch1.notes", 1.4, 1.5, 2.0, 2.5) == [0, 1, 1, 0]
    assert column(path, "note60", 2.0, 2.5) == [1, 0]  # another channel ends no note
    assert column(path, "ch16.pitch", 2.9, 3.0) == [0, -1]
    with pytest.raises(UsageError, match=r"no column 'ch2\.cc7'|has no column"):
        column(path, "ch2.cc7", 0)
    with pytest.raises(UsageError, match=r"name one, FILE:COLUMN: cc7, note60, notes, pitch, ch1\.cc7"):
        column(path, "", 0)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "", "it has no rows"),
        ("a.csv", "x,y\n1,2\n", "no column is the time"),
        ("a.csv", "time,y\nsoon,2\n", "row 1: 'soon' is not a moment"),
        ("a.csv", "time,y\n0,red\n", "no column of numbers"),
        ("a.csv", "time,x,y\n0,1,2\n", "name one, FILE:COLUMN: x, y"),
        ("a.json", "{", "it cannot be read"),
        ("a.json", "{}", "it has no list of frames"),
        ("a.json", '[{"x": 1}]', "no column is the time"),
        ("a.mid", "MThd", "it is no MIDI file"),
        ("a.wav", "", "it is no file of values"),
    ],
)
def test_a_slip_is_one_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        column(path, "", 0)
    assert caught.value.remedy


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_data(tmp_path / "a.csv")
    with pytest.raises(UsageError, match="no such file"):
        digest_value_file(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("time,glow,glue\n0,1,2\n")
    with pytest.raises(UsageError, match=r"no column.*glow"):
        column(tmp_path / "b.csv", "glo", 0)


@pytest.mark.parametrize(("rate", "ticks", "delta", "second"), [(25, 40, 2000, 2.0), (29, 80, 2400, 1.001)])
def test_midi_of_smpte_time_has_no_tempo(tmp_path: Path, rate: int, ticks: int, delta: int, second: float) -> None:
    mido = pytest.importorskip("mido")
    song, tempo = mido.MidiFile(ticks_per_beat=480), mido.MetaMessage("set_tempo", tempo=250_000)
    song.tracks.append(mido.MidiTrack([tempo, mido.Message("control_change", control=7, value=127, time=delta)]))
    song.save(str(path := tmp_path / "a.mid"))
    data = path.read_bytes()
    path.write_bytes(data[:12] + bytes([256 - rate, ticks]) + data[14:])
    assert column(path, "cc7", second - 0.01, second + 0.01) == [0, 1]
    path.write_bytes(data[:12] + bytes([256 - 23, ticks]) + data[14:])
    with pytest.raises(UsageError, match=rf"its time division is 23 frames of {ticks} ticks"):
        column(path, "cc7", 0)
