"""``vidtrans retime`` as people use it: rates, speeds, ramps, held frames, sound, resuming, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, write_clip, write_folder

import vidtrans as api
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Event, Progress, Stop

pytestmark = pytest.mark.usefixtures("one_thread")
Capsys = pytest.CaptureFixture[str]
LOSSLESS = ("--codec", "ffv1")


def sound_of(path: Path) -> tuple[np.ndarray, int]:
    """The samples of the first channel from time 0 on, and their rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        rate = stream.rate
        found = np.zeros(int(float(container.duration or 0) / 1e6 * rate) + rate, np.float32)
        for frame in container.decode(stream):
            at = round(float(frame.pts * frame.time_base) * rate)
            part = frame.to_ndarray()
            samples = part[0].astype(np.float32) / (np.iinfo(part.dtype).max if part.dtype.kind == "i" else 1)
            keep = samples[max(0, -at) :]
            found[max(0, at) : max(0, at) + len(keep)] = keep
    return found, rate


def flash_and_click(path: Path, at: Fraction) -> Path:
    """A second of grey at 25 fps: at one moment a white frame, and a burst in the sound."""
    frames = [np.full((48, 64, 3), 60, np.uint8) for _ in range(50)]
    frames[round(at * 25)][:] = 250
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25, options={"crf": "8"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound: Any = container.add_stream("flac", rate=48000, layout="mono")
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        samples = np.zeros((1, 96000), np.int16)
        samples[0, round(at * 48000) : round(at * 48000) + 96] = 20000
        for first in range(0, 96000, 4096):
            block = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, first : first + 4096]), "s16", "mono")
            block.sample_rate, block.pts, block.time_base = 48000, first, Fraction(1, 48000)
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(Path("clip.mp4"), moving_frames(12, shots=(0, 8)), rate=30, sound=True)


def test_twice_the_rate_keeps_the_clips_frames_and_makes_those_between(clip: Path, capsys: Capsys) -> None:
    table = said_json(capsys, "retime", clip, "--fps", "x2", "-o", "twice.mkv", *LOSSLESS)
    assert (table["frames"], table["rate"], table["frames_between"]) == (24, "60", 10)
    pts, base, frames = decode(Path("twice.mkv"))
    assert [round(float(p * base), 3) for p in pts] == [round(n / 60, 3) for n in range(24)]
    said(capsys, 0, "stylize", clip, "--model", "identity", "--temporal", "off", "-o", "same.mkv", *LOSSLESS)
    _, _, source = decode(Path("same.mkv"))
    assert all(np.array_equal(frames[2 * n], source[n]) for n in range(12))
    between = frames[7].astype(int)
    assert min(np.abs(between - source[n]).mean() for n in (3, 4)) > 0.1
    assert np.array_equal(frames[15], frames[14])  # before a cut
    assert np.array_equal(frames[23], frames[22])
    with av.open("twice.mkv") as container:
        assert container.streams.audio[0].codec_context.name == "aac"  # as it was
    assert "up to date" in said(capsys, 0, "retime", clip, "--fps", "x2", "-o", "twice.mkv", *LOSSLESS)


def test_pictures_and_sound_are_in_step_after_a_ramp(capsys: Capsys) -> None:
    at = Fraction(6, 5)
    source = flash_and_click(Path("flash.mkv"), at)
    words = ("--speed", "0: 1, 1s: 0.5, 2s: 2", "--doubt", "make", *LOSSLESS)
    for name in ("ramp.mkv", "ramp.mov"):
        table = said_json(capsys, "retime", source, "-o", name, *(words if name.endswith("mkv") else words[:4]))
        pts, base, frames = decode(Path(name))
        shown = float(pts[int(np.argmax([frame.mean() for frame in frames]))] * base)
        samples, rate = sound_of(Path(name))
        heard = float(np.abs(samples).argmax()) / rate
        assert abs(shown - heard) < 0.05, name
        assert abs(len(pts) * 0.04 - table["duration_s"]) < 1e-6
    followed = said_json(capsys, "retime", source, "--speed", "0.5", "--pitch", "follow", "-o", "slow.mkv")
    assert followed["duration_s"] == 4.0
    samples, rate = sound_of(Path("slow.mkv"))
    assert abs(float(np.abs(samples).argmax()) / rate - 2.4) < 0.005
    said(capsys, 0, "retime", source, "--speed", "0.5", "--pitch", "none", "-o", "silent.mkv")
    with av.open("silent.mkv") as container:
        assert not container.streams.audio


def test_held_frames_and_an_open_shutter(clip: Path, capsys: Capsys) -> None:
    said(capsys, 0, "retime", clip, "--hold", 3, "-o", "threes.mkv", *LOSSLESS)
    _, _, frames = decode(Path("threes.mkv"))
    assert len(frames) == 12
    assert all(np.array_equal(frames[n], frames[n // 3 * 3]) for n in range(12))
    said(capsys, 0, "retime", clip, "--motion-blur", 180, "-o", "blurred.mkv", *LOSSLESS)
    _, _, blurred = decode(Path("blurred.mkv"))
    _, _, sharp = decode(clip)
    gradients = [float(np.abs(np.diff(each[4].astype(float), axis=1)).mean()) for each in (blurred, sharp)]
    assert gradients[0] < gradients[1]


def test_a_folder_of_pictures_on_twos_becomes_a_film_in_which_all_frames_differ(capsys: Capsys) -> None:
    drawn = [frame for frame in moving_frames(6) for _ in range(2)]
    write_folder(Path("drawn"), drawn)
    table = said_json(
        capsys, "retime", "drawn", "--set", "rendering.picture_fps=24", "--fps", "24", "-o", "film.mkv", *LOSSLESS
    )
    assert (table["frames"], table["rate"], table["frames_between"]) == (12, "24", 5)
    _, _, frames = decode(Path("film.mkv"))
    assert all(not np.array_equal(a, b) for a, b in pairwise(frames[:11]))


def test_a_stopped_run_goes_on_to_the_same_bytes(clip: Path) -> None:
    settings = {"rendering": {"chunk_frames": 6}, "encoding": {"codec": "ffv1"}}
    api.retime(clip, "whole.mkv", fps="x3", settings=settings, cache_dir="other")
    stop = Stop()

    def stop_at_twenty(event: Event) -> None:
        if isinstance(event, Progress) and event.done == 20:
            stop.request()

    with pytest.raises(Interrupted):
        api.retime(clip, "parts.mkv", fps="x3", settings=settings, report=stop_at_twenty, stop=stop)
    api.retime(clip, "parts.mkv", fps="x3", settings=settings)
    assert Path("parts.mkv").read_bytes() == Path("whole.mkv").read_bytes()


def test_a_pause_stays_a_pause_and_nothing_is_made_of_what_comes_after_it(capsys: Capsys) -> None:
    moving = moving_frames(8)
    write_folder(Path("paused"), [*moving[:4], *[moving[3]] * 8, *moving[4:]])
    said(capsys, 0, "retime", "paused", "--fps", "x2", "-o", "film.mkv", *LOSSLESS)
    _, _, frames = decode(Path("film.mkv"))
    assert all(np.array_equal(frames[n], frames[6]) for n in range(7, 23))
    assert not np.array_equal(frames[24], frames[6])


def test_motion_blur_ends_at_a_cut(clip: Path, capsys: Capsys) -> None:
    said(capsys, 0, "retime", clip, "--motion-blur", 720, "-o", "blurred.mkv", *LOSSLESS)
    said(capsys, 0, "retime", clip, "-o", "sharp.mkv", *LOSSLESS)
    blurred, sharp = (decode(Path(name))[2] for name in ("blurred.mkv", "sharp.mkv"))
    assert np.abs(blurred[7].astype(int) - sharp[7]).mean() < 1  # the last frame of its shot


def test_stretched_sound_goes_into_a_webm(clip: Path, capsys: Capsys) -> None:
    said(capsys, 0, "retime", clip, "--speed", "0.5", "-o", "slow.webm")
    with av.open("slow.webm") as container:
        assert container.streams.audio[0].codec_context.name == "opus"


@pytest.mark.parametrize("colour", [(40, 200, 90), (10, 10, 10), (250, 250, 250)])
def test_transparency_moves_with_the_picture(colour: tuple[int, int, int], capsys: Capsys) -> None:
    Path("layers").mkdir()
    for number in range(4):
        layer = np.zeros((96, 128, 4), np.uint8)
        layer[..., :3] = (0, 0, 255)
        layer[30:70, 20 + 8 * number : 60 + 8 * number] = (*colour, 255)
        cv2.imwrite(f"layers/{number}.png", layer)
    said(capsys, 0, "retime", "layers", "--fps", "x2", "--codec", "png", "-o", "out")
    found = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(Path("out").iterdir())]
    drawn = cv2.imread("layers/1.png", cv2.IMREAD_UNCHANGED)
    assert np.array_equal(found[2][drawn[..., 3] > 0], drawn[drawn[..., 3] > 0])
    assert np.array_equal(found[2][..., 3], drawn[..., 3])
    made = found[3][50].astype(int)
    assert np.abs(made[36:70] - (*colour, 255)).max() <= 3  # opaque, without red from where nothing was
    assert made[:28, 3].max() <= 3
    assert made[78:, 3].max() <= 3


def test_a_guide_carries_drawings_to_its_frames(capsys: Capsys) -> None:
    film = moving_frames(12, shots=(0, 6))
    write_clip(Path("film.mp4"), film, rate=24, sound=True)
    said(capsys, 0, "stylize", "film.mp4", "--model", "identity", "--temporal", "off", "-o", "same.mkv", *LOSSLESS)
    painted = [255 - frame for frame in decode(Path("same.mkv"))[2]]
    Path("drawn").mkdir()
    for number in (0, 2, 4, 6, 8, 10):
        cv2.imwrite(f"drawn/d_{number:04}.png", painted[number][..., ::-1])
    table = said_json(capsys, "retime", "drawn", "--guide", "film.mp4", "-o", "carried.mkv", *LOSSLESS)
    assert (table["frames"], table["rate"], table["frames_between"]) == (12, "24", 0)
    frames = decode(Path("carried.mkv"))[2]
    for number, frame in enumerate(frames):
        error = np.abs(frame.astype(int) - painted[number]).mean()
        held = np.abs(painted[number // 2 * 2].astype(int) - painted[number]).mean()
        assert error <= held * (0.75 if number % 6 < 5 else 0.9), number  # before a cut there is one drawing
    with av.open("carried.mkv") as container:
        assert container.streams.audio
    Path("even").mkdir()
    for number in (1, 3, 5, 7, 9, 11):  # frames 2, 4, … as people count
        cv2.imwrite(f"even/d_{number + 1:04}.png", painted[number][..., ::-1])
    words = "retime", "even", "--guide", "film.mp4"
    said(capsys, 0, *words, "-o", "even.mkv", *LOSSLESS)
    assert all(np.array_equal(decode(Path("even.mkv"))[2][n], painted[n]) for n in (1, 5, 11))
    assert "belong to frames" in refuse(capsys, 2, *words, "--first-number", "-20", "-o", "x.mkv")
    cv2.imwrite("even/d_0004.png", np.zeros((24, 32, 3), np.uint8))
    assert "not of one size" in refuse(capsys, 2, *words, "-o", "x.mkv")
    table = said_json(capsys, "retime", "drawn", "--guide", "film.mp4", "--fps", 48, "-o", "twice.mkv", *LOSSLESS)
    assert (table["frames"], table["frames_between"]) == (24, 10)


def test_a_render_with_more_frames_than_its_source_makes_those_between(clip: Path, capsys: Capsys) -> None:
    words = "stylize", clip, "--model", "identity", "--temporal", "off", *LOSSLESS
    said(capsys, 0, *words, "-o", "same.mkv")
    table = said_json(capsys, *words, "--fps", 60, "-o", "between.mkv")
    assert (table["frames"], table["duration_s"]) == (24, 0.4)
    source, made = (decode(Path(name))[2] for name in ("same.mkv", "between.mkv"))
    assert all(np.array_equal(made[2 * n], source[n]) for n in range(12))
    said(capsys, 0, "retime", clip, "--fps", 60, "-o", "retimed.mkv", *LOSSLESS)
    assert all(np.array_equal(a, b) for a, b in zip(made, decode(Path("retimed.mkv"))[2], strict=True))
    said(capsys, 0, *words, "--fps", 40, "-o", "repeated.mkv")
    assert {frame.tobytes() for frame in decode(Path("repeated.mkv"))[2]} == {frame.tobytes() for frame in source}
    said(capsys, 0, *words[:-1], "png", "--fps", 60, "-o", "pictures")
    pictures = [cv2.imread(str(path))[..., ::-1] for path in sorted(Path("pictures").iterdir())]
    assert all(np.array_equal(a, b) for a, b in zip(made, pictures, strict=True))


def test_a_part_of_a_clip_is_as_it_is_in_the_whole(clip: Path, capsys: Capsys) -> None:
    said(capsys, 0, "retime", clip, "--fps", "x2", "-o", "whole.mkv", *LOSSLESS)
    table = said_json(capsys, "retime", clip, "--fps", "x2", "--start", 2, "--end", 6, "-o", "part.mkv", *LOSSLESS)
    assert (table["frames"], table["duration_s"]) == (8, 0.133)
    whole, part = (decode(Path(name))[2] for name in ("whole.mkv", "part.mkv"))
    assert all(np.array_equal(part[n], whole[4 + n]) for n in (0, 2, 4, 6))
    assert (
        max(np.abs(part[n].astype(int) - whole[4 + n]).mean() for n in (1, 3, 5)) < 3
    )  # the frames around are not there
    said(capsys, 0, "retime", clip, "--speed", "0.5", "--start", 2, "--end", 6, "-o", "slow.mkv")
    samples, rate = sound_of(Path("slow.mkv"))
    assert 0.2 < np.abs(samples[: rate // 5]).max() < 0.5


def test_what_cannot_be_is_refused_in_one_line(clip: Path, capsys: Capsys) -> None:
    for words, why in (
        (("--speed", "0"), "keep it from 0.001 to 1000"),
        (("--speed", "-1"), "keep it from 0.001 to 1000"),
        (("--speed", "0: 1, 0.3s: 0"), "at frame 9 it is 0"),
        (("--speed", "fast"), "is not known"),
        (("--motion-blur", "nan"), "nan is not a number"),
        (("--first-number", "3"), "add --guide"),
        (("--fps", "0"), "it is not a frame rate"),
        (("--fps", "10000"), "it is not a frame rate"),
        (("--fps", "x0"), "it is not a factor"),
    ):
        assert why in refuse(capsys, 2, "retime", clip, "-o", "x.mp4", *words), words
    write_folder(Path("longer"), moving_frames(16))
    write_clip(Path("long.mp4"), moving_frames(30), rate=30)
    for name, why in (("longer", "give a guide of its length"), ("long.mp4", "give a guide of its length")):
        assert why in refuse(capsys, 2, "retime", clip, "--guide", name, "-o", "x.mp4"), name
    write_folder(Path("one"), moving_frames(1))
    assert "no motion" in refuse(capsys, 2, "retime", clip, "--guide", "one", "-o", "x.mp4")
    assert "it has one frame" in refuse(capsys, 2, "retime", "one", "--fps", "50", "-o", "x.mp4")


def test_what_changes_over_a_still_source_is_shown_and_a_picture_has_no_rate(capsys: Capsys) -> None:
    write_folder(Path("still"), [moving_frames(1)[0]] * 8)
    words = "stylize", "still", "--model", "identity", "--temporal", "off", "--fps", "50", "--strokes", "pencil"
    said(capsys, 0, *words, "--strength", "0:0, 4:1, 7:0", "-o", "film.mkv", *LOSSLESS)
    frames = [frame.astype(int) for frame in decode(Path("film.mkv"))[2]]
    assert len(frames) == 16
    assert np.abs(frames[8] - frames[0]).mean() > 3 * np.abs(frames[15] - frames[0]).mean() + 1
    said(capsys, 0, "stylize", "still/0.png", "--model", "identity", "--fps", "50", "-o", "one.png")
    assert Path("one.png").is_file()


def test_one_drawing_at_the_beginning_makes_no_drawn_film_and_counts_are_kept(capsys: Capsys) -> None:
    page = np.full((48, 64, 3), 255, np.uint8)
    cv2.line(page, (5, 5), (60, 40), (20, 20, 20), 1, cv2.LINE_AA)
    write_folder(Path("mixed"), [page, *moving_frames(11)])
    command = "retime", "mixed", "--fps", "x2", "-o", "film.mkv", "--set=rendering.chunk_frames=8", *LOSSLESS
    first = said_json(capsys, *command)
    assert (first["frames_between"] > 8, first["frames_held"]) == (True, 0)
    Path("film.mkv").unlink()
    again = said_json(capsys, *command)
    assert [again[name] for name in ("frames_between", "frames_held")] == [first["frames_between"], 0]


def test_a_result_with_frames_between_is_not_fixed(clip: Path, capsys: Capsys) -> None:
    said(capsys, 0, "stylize", clip, "--model", "identity", "--temporal", "off", "--fps", 60, "-o", "between.mp4")
    Path("painted").mkdir()
    frame = decode(Path("between.mp4"))[2][4].copy()
    frame[10:30, 10:30] = (250, 20, 20)
    cv2.imwrite("painted/000004.png", frame[..., ::-1])
    assert "vidtrans retime --fps N" in refuse(capsys, 2, "fix", "between.mp4", "--painted", "painted")


def test_a_render_without_frames_between_needs_no_compiled_code(clip: Path) -> None:
    words = [sys.executable, "-m", "vidtrans", "stylize", str(clip), "--model", "identity", "-o", "plain.mp4"]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    subprocess.run(words, check=True, env=environment)
    done = subprocess.run([*words[:-1], "between.mp4", "--fps", "60"], env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "NUMBA_DISABLE_JIT is set" in done.stderr
