"""Curves on a clip: heard, seen and read values reach their frames, however the render is divided."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, write_clip, write_folder
from made_music import RATE, clicks, drums

Capsys = pytest.CaptureFixture[str]

EXACT = ("--codec", "ffv1", "--temporal", "off")
CUBE = "LUT_3D_SIZE 2\n" + "0 0 0\n" * 8  # the look is black: what remains of white is 1 - strength


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "black.cube").write_text(CUBE)
    return tmp_path


def add_sound(path: Path, clip: Path, samples: np.ndarray, start_s: float = 0.0) -> Path:
    with av.open(str(clip)) as source, av.open(str(path), "w") as made:
        pictures = made.add_stream_from_template(source.streams.video[0])
        track = made.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = pictures
                made.mux(packet)
        data = (np.clip(samples, -1, 1) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, round(start_s * RATE), Fraction(1, RATE)
        for packet in [*track.encode(frame), *track.encode(None)]:
            made.mux(packet)
    return path


def white(path: str, num_frames: int, **more: object) -> Path:
    frames = [np.full((16, 24, 3), 255, np.uint8)] * num_frames
    return write_clip(Path(path), frames, codec="ffv1", pix_fmt="bgr0", **more)  # type: ignore[arg-type]


def strengths(capsys: Capsys, clip: object, *words: object) -> list[float]:
    said(capsys, 0, "stylize", clip, "--model", "black.cube", "-o", "out.mkv", "--overwrite", *EXACT, *words)
    return [1 - float(frame.mean()) / 255 for frame in decode(Path("out.mkv"))[2]]


def test_a_beat_is_seen_on_its_frame_at_any_rate(capsys: Capsys) -> None:
    rng = np.random.default_rng(0)
    made = clicks(120, 6, first_s=0.5)
    pts = np.cumsum([0, *rng.integers(20, 70, 120)]).tolist()  # ms: frames at uneven times
    clip = add_sound(Path("a.mkv"), white("v.mkv", 121, pts=pts, time_base=Fraction(1, 1000)), made.samples)
    found = strengths(capsys, clip, "--strength", "on_beat(0.1)")
    for frame, value in enumerate(found):
        since = [pts[frame] / 1000 - beat for beat in made.beats if beat <= pts[frame] / 1000 + 0.012]
        if since and abs(since[-1]) > 0.012:  # not within the error of a beat
            assert value == pytest.approx(np.exp(-since[-1] / 0.1), abs=0.13), frame


def test_a_sound_that_begins_late_is_heard_late(capsys: Capsys) -> None:
    burst = np.zeros(3 * RATE, np.float32)
    burst[RATE : RATE + RATE // 4] = np.sin(np.arange(RATE // 4) * 0.3)
    clip = add_sound(Path("a.mkv"), white("v.mkv", 90), burst, start_s=0.5)
    found = strengths(capsys, clip, "--strength", "loudness")
    loud = [frame / 30 for frame, value in enumerate(found) if value > 0.5]
    assert loud[0] == pytest.approx(1.5, abs=0.05)
    assert loud[-1] == pytest.approx(1.75, abs=0.08)


@pytest.mark.thorough
def test_another_sound_is_heard_from_the_first_frame_on(capsys: Capsys) -> None:
    made = drums(120, 3)
    own = add_sound(Path("a.mkv"), white("v.mkv", 60), made.samples)
    made.write(Path("drums.wav"))
    other = add_sound(Path("b.mkv"), Path("v.mkv"), np.zeros(2 * RATE, np.float32))
    wanted = strengths(capsys, own, "--strength", "0.2 + 0.8*low")
    assert max(wanted) - min(wanted) > 0.5
    curve = ("--strength", "0.2 + 0.8*low")
    assert strengths(capsys, other, *curve, "--sound", "drums.wav") == pytest.approx(wanted, abs=0.01)
    clicks(90, 3).write(Path("drums.wav"))  # another sound of the same name is another render
    assert strengths(capsys, other, *curve, "--sound", "drums.wav") != pytest.approx(wanted, abs=0.1)


def test_all_divisions_of_a_render_give_the_same_values(capsys: Capsys) -> None:
    clip = add_sound(Path("a.mkv"), white("v.mkv", 36), drums(140, 2).samples)
    curve = "clamp(follow(low, 0.2) + 0.5*on_onset(0.1), 0, 1)"
    whole = strengths(capsys, clip, "--strength", curve)
    assert strengths(capsys, clip, "--strength", curve, "--set", "rendering.chunk_frames=7") == whole
    assert strengths(capsys, clip, "--strength", curve, "--start", "10", "--end", "25") == whole[10:25]
    words = ("stylize", clip, "--model", "black.cube", "-o", "out.mkv", *EXACT)
    again = said_json(capsys, *words, "--strength", "0.5*mid", "--mix", "0.3*on_beat()", "--overwrite")
    assert again["frames_inferred"] == 0  # another curve infers nothing again


def test_what_is_seen_moves_a_curve(capsys: Capsys) -> None:
    ramp = [np.full((16, 24, 3), 8 * n, np.uint8) for n in range(30)]
    clip = write_clip(Path("a.mkv"), ramp, codec="ffv1", pix_fmt="bgr0")
    said(capsys, 0, "stylize", clip, "--model", "black.cube", "-o", "o.mkv", *EXACT, "--strength", "1 - brightness")
    found = [float(frame.mean()) for frame in decode(Path("o.mkv"))[2]]
    assert found == pytest.approx([8 * n * 8 * n / 255 for n in range(30)], abs=1.5)

    still, moving = moving_frames(6)[:1] * 6, [cv2.resize(f, (64, 48)) for f in moving_frames(6, (96, 72))]
    clip = write_clip(Path("b.mkv"), [*still, *moving], codec="ffv1", pix_fmt="bgr0")
    values = said_json(capsys, "curves", "motion", "--clip", clip)["curves"][0]["values"]
    assert max(values[:6]) < 0.05
    assert np.mean(values[7:]) > 0.3


def test_the_share_of_a_mask_moves_a_curve(capsys: Capsys) -> None:
    clip = white("a.mkv", 10)
    write_folder(Path("mattes"), [np.tile(np.uint8(255) * (np.arange(24) < 2 * n), (16, 1)) for n in range(10)])
    words = ("stylize", clip, "--model", "black.cube", "-o", "o.mkv", *EXACT, "--mask", "mattes")
    said(capsys, 0, *words, "--strength", "mask")
    for n, frame in enumerate(decode(Path("o.mkv"))[2]):
        assert frame[8, 23].mean() == 255
        if n > 1:
            assert frame[8, 0].mean() == pytest.approx(255 * (1 - 2 * n / 24), abs=3)


def test_values_of_a_file_and_cuts_are_names_too(capsys: Capsys) -> None:
    Path("cuts.txt").write_text("10\n20\n")
    Path("my moves.csv").write_text("frame,glow,fade\n0,0,1\n20,1,0\n")
    clip, cuts = white("a.mkv", 30), ("--cuts", "cuts.txt")
    both = strengths(capsys, clip, "--strength", "0: 0, 10: 'my moves.csv:glow'*'my moves.csv:fade'*2 hold")
    assert both[9:11] == pytest.approx([0, 0.5], abs=0.01)
    Path("my moves.csv").write_text("frame,glow,fade\n0,1,1\n20,1,0\n")
    assert strengths(capsys, clip, "--strength", "my moves.csv:glow") == pytest.approx([1] * 30)
    found = strengths(capsys, clip, *cuts, "--strength", "shot/4 + min(shot_t, 0.1)")
    assert found == pytest.approx([n // 10 / 4 + min(n % 10 / 30, 0.1) for n in range(30)], abs=0.01)
    found = strengths(capsys, clip, *cuts, "--strength", "on_cut(0.1)")
    assert found[:10] == pytest.approx([0] * 10)
    assert found[10:13] == pytest.approx([np.exp(-n / 3) for n in range(3)], abs=0.01)


def test_a_slip_is_one_line(capsys: Capsys) -> None:
    clip = white("a.mkv", 30)
    stills = write_folder(Path("stills"), [np.full((16, 24, 3), 255, np.uint8)] * 3)
    for source, words, says in (
        (clip, ("--strength", "low"), "low: a.mkv: there is no sound in it — give a sound with --sound FILE"),
        (stills, ("--strength", "low"), "stills has no sound to hear"),
        (clip, ("--strength", "mask"), "mask: no mask is given — give one with --mask"),
        (clip, ("--strength", "frame/10"), "at frame 21 it is 2.1 — keep it from 0 to 2, as with clamp"),
        (clip, ("--strength", "gone.csv"), "gone.csv: no such file"),
        (clip, ("--strength", "low", "--sound", "gone.wav"), "gone.wav"),
        (clip, ("--mix", "2"), "choose a value from 0 to 1"),
    ):
        assert says in refuse(capsys, 2, "stylize", source, "--model", "black.cube", *EXACT, *words)
