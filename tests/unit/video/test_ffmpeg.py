"""Jobs of the user's own ffmpeg: frames at their own times, colours that stay, and nothing left where it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from clips import decode, moving_frames, times

import vidtrans.video.ffmpeg as module
from vidtrans.core.errors import Interrupted, MediaError, UsageError
from vidtrans.core.events import Progress, Stop
from vidtrans.core.system import WINDOWS, windows_name_problem
from vidtrans.video.ffmpeg import FFmpegJob, encoders, parse_options, program_version, run_ffmpeg_job

COUNT = 12
BASE = Fraction(1, 15_360)
PTS = list(accumulate([4000, 512, 40, 3000, 511, 513, 1024, 48, 900, 100_000, 513, 1]))
FRAMES = moving_frames(COUNT)
OUT = Path("out.nut")


def write_nut(path: Path, pictures: Sequence[av.VideoFrame], pts: Sequence[int] = PTS) -> Path:
    """A file as vidtrans writes it: FFV1 in the pictures' own pixel format, times in 1/15360."""
    with closing(av.open(f"file:{path}", "w", format="nut", options={"fflags": "+bitexact"})) as container:
        stream: Any = container.add_stream("ffv1", rate=30, options={"level": "3", "slices": "4", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = pictures[0].width, pictures[0].height, pictures[0].format.name
        stream.codec_context.time_base = BASE
        for picture, stamp in zip(pictures, pts, strict=True):
            picture.pts, picture.time_base = stamp, BASE
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def as_bgr0(rgb: np.ndarray) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(format="bgr0")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nut(tmp_path_factory.mktemp("written") / "source.nut", [as_bgr0(f) for f in FRAMES])


@pytest.fixture
def source(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(written, tmp_path / "source.nut"))


def at(pts: Sequence[int]) -> list[Fraction]:
    return [p * BASE for p in pts]


def near(made: Path, expected: Sequence[np.ndarray], most: float = 0) -> bool:
    return all(np.abs(a.astype(int) - b).mean() <= most for a, b in zip(decode(made)[2], expected, strict=True))


@pytest.mark.parametrize("graph", ["", " [in]hflip[out] ", "split[a][b];[a]hflip,[b]overlay=x=W"])
def test_every_frame_comes_out_at_its_own_time(program: Path, source: Path, graph: str) -> None:
    run_ffmpeg_job(source, OUT, FFmpegJob(graph))
    flipped = "[in]" in graph  # the overlay lies outside of the picture, and works in YUV, with less of colour
    assert times(OUT) == at(PTS)
    assert near(OUT, [f[:, ::-1] for f in FRAMES] if flipped else FRAMES, 8 if "overlay" in graph else 0)


def test_times_that_a_graph_makes_are_exact(program: Path, source: Path) -> None:
    rate = Fraction(30_000, 1001)
    run_ffmpeg_job(source, OUT, FFmpegJob(f"fps={rate}", "mpeg4"))
    got = times(OUT)
    first = round(PTS[0] * BASE * rate)
    assert got == [(first + i) / rate for i in range(len(got))]
    assert len(got) == pytest.approx(float((PTS[-1] - PTS[0]) * BASE * rate), abs=2)


def planes(path: Path) -> list[list[bytes]]:
    with closing(av.open(str(path))) as container:
        return [[bytes(p) for p in f.planes] for f in container.decode(video=0)]


@pytest.mark.parametrize(("deep", "alpha"), [(False, True), (True, False), (True, True)])
def test_every_depth_and_alpha_come_through(program: Path, tmp_path: Path, deep: bool, alpha: bool) -> None:
    job, rng, made = FFmpegJob("null", deep=deep, alpha=alpha), np.random.default_rng(1), []
    for _ in range(3):
        picture = av.VideoFrame(64, 48, job.pix_fmt)
        for plane in picture.planes:
            plane.update(rng.bytes(plane.buffer_size))
        made.append(picture)
    source = write_nut(tmp_path / "source.nut", made, PTS[:3])
    run_ffmpeg_job(source, OUT, job)
    with closing(av.open(str(OUT))) as container:
        assert container.streams.video[0].codec_context.pix_fmt == job.pix_fmt
    assert np.array_equal(decode(OUT)[2], decode(source)[2])
    assert planes(OUT) == planes(source) == [[bytes(p) for p in f.planes] for f in made]


def patches() -> np.ndarray:
    picture = np.zeros((48, 64, 3), np.uint8)
    for i, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)]):
        picture[:, 16 * i : 16 * i + 16] = colour
    return picture


def good_encoder(program: Path) -> FFmpegJob:
    if "libx264" in encoders(program):
        return FFmpegJob("", "libx264", (("crf", "8"), ("preset", "veryfast"), ("bf", "2")))
    return FFmpegJob("", "mpeg4", (("q:v", "2"),))


def test_an_encoder_makes_bt709_that_is_tagged(program: Path, tmp_path: Path) -> None:
    source, encoder = write_nut(tmp_path / "source.nut", [as_bgr0(patches())] * COUNT), good_encoder(program)
    run_ffmpeg_job(source, OUT, FFmpegJob("format=yuv444p", encoder.encoder, encoder.options))
    assert times(OUT) == at(PTS)
    with closing(av.open(str(OUT))) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == "yuv420p"
    tags = (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range)
    assert encoder.encoder != "libx264" or tags == (1, 1, 1, 1)
    shown = frame.reformat(
        format="rgb24",
        src_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    ).to_ndarray()
    middles = np.s_[24, 8::16]
    assert np.abs(shown[middles].astype(int) - patches()[middles]).max() <= 4


def test_a_start_is_kept_by_encoders_that_reorder(program: Path, tmp_path: Path) -> None:
    """Such an encoder decodes its first frame before the time at which it is shown, so before 0 here."""
    pts = [p - PTS[0] for p in PTS]
    source = write_nut(tmp_path / "source.nut", [as_bgr0(f) for f in FRAMES], pts)
    for job in (good_encoder(program), FFmpegJob("", "mpeg4", (("bf", "2"),))):
        run_ffmpeg_job(source, OUT, job)
        assert times(OUT) == at(pts)


def test_equal_jobs_give_equal_bytes_and_report_what_is_done(program: Path, source: Path) -> None:
    for job in (FFmpegJob("hflip"), good_encoder(program)):
        seen: list[Any] = []
        run_ffmpeg_job(source, OUT, job)
        run_ffmpeg_job(source, Path("again.nut"), job, report=seen.append, num_frames=COUNT)
        assert OUT.read_bytes() == Path("again.nut").read_bytes(), job
        assert seen[-1] == Progress("filtering", COUNT, COUNT)
        assert [e.done for e in seen] == sorted({e.done for e in seen})


ODD = ["-i", "%03d.nut", "it's", "ü\n二", "pipe:1", "*?[a]"]


def test_any_name_will_do(program: Path, source: Path) -> None:
    bytes_alone = "not text" if WINDOWS else os.fsdecode(b"\xff\xfe")
    for place in ("in", "out"):
        Path(place).mkdir()
    for name in (name for name in (*ODD, bytes_alone) if not windows_name_problem(name)):
        odd = shutil.copyfile(source, Path("in", name))
        run_ffmpeg_job(odd, Path("out", name), FFmpegJob())
        assert [p.name for p in Path("out").iterdir()] == [name]
        shutil.move(Path("out", name), "plain.nut")
        assert times(Path("plain.nut")) == at(PTS)
        run_ffmpeg_job(odd.rename(name), OUT, FFmpegJob("null"))  # without a folder before it
        assert times(OUT) == at(PTS)


WRONG = {
    "no-filter": (FFmpegJob("foo"), r"filter graph 'foo': .*(No such filter|foo)"),
    "two-outputs": (FFmpegJob("split"), r"filter graph 'split': .* output"),
    "no-frames": (FFmpegJob("select=0"), r"filter graph 'select=0': no frame comes out of it"),
    "odd-size": (FFmpegJob("scale=63:47", "libx264"), r"encoder libx264: .*not divisible by 2"),
    "no-encoder": (FFmpegJob("", "nope"), r"encoder nope: ffmpeg has no .* — `ffmpeg -encoders`"),
    "no-option": (
        FFmpegJob("null", "mpeg4", (("foo", "3"),)),
        r"encoder option foo: mpeg4 has no option .*`ffmpeg -h encoder=mpeg4`",
    ),
    "below-0": (FFmpegJob("setpts=N-900"), r"filter graph 'setpts=N-900': Negative pts"),
    "no-format": (FFmpegJob("", "mpeg4", (("pix_fmt", "abc"),)), r"encoder mpeg4: Unknown pixel format .*abc"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_line_and_leaves_nothing(program: Path, source: Path, name: str) -> None:
    job, says = WRONG[name]
    if job.encoder.startswith("lib") and job.encoder not in encoders(program):
        pytest.skip(f"this ffmpeg has no {job.encoder}")
    with pytest.raises(UsageError, match=says) as caught:
        run_ffmpeg_job(source, OUT, job)
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)
    assert [p.name for p in Path.cwd().iterdir()] == [source.name]


def test_a_damaged_source_is_no_result(program: Path, source: Path) -> None:
    whole = source.read_bytes()
    for damaged in (whole[: len(whole) * 2 // 3], b"", b"not a video"):
        source.write_bytes(damaged)
        with pytest.raises(MediaError, match=r"source\.nut: ffmpeg failed"):
            run_ffmpeg_job(source, OUT, FFmpegJob("null"))
        assert not OUT.exists()


def test_a_stop_ends_the_program(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the filter 'realtime' the source lasts as long as it plays: an hour."""
    pts = [i * 15_360 // 4 for i in range(COUNT - 1)] + [3600 * 15_360]
    slow, job = write_nut(tmp_path / "slow.nut", [as_bgr0(f) for f in FRAMES], pts), FFmpegJob("realtime=limit=10000")
    started: list[Any] = []
    start, stop = subprocess.Popen, Stop()
    monkeypatch.setattr(module.subprocess, "Popen", lambda *a, **more: started.append(start(*a, **more)) or started[-1])
    with pytest.raises(Interrupted) as caught:
        run_ffmpeg_job(slow, OUT, job, stop, lambda event: stop.request(143))
    assert caught.value.exit_status == 143
    assert not OUT.exists()
    assert started
    assert all(process.returncode is not None for process in started)
    assert started[-1].returncode != 0


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a program named ffmpeg on the PATH that tells its version, and else runs ``body``."""
    said = "ffmpeg version 9.0 Copyright\\nlibavcodec     63.  1.102 / 63.  1.102\\n"
    program = folder / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport os, signal, sys\nif '-version' in sys.argv: print('{said}'); sys.exit()\n{body}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


@pytest.mark.skipif(os.name == "nt", reason="the pretended program is a script")
@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ("os.write(2, b'noise\\n' * 50_000 + b'[x @ 0x1] the cause\\n'); sys.exit(1)", MediaError, r"\(the cause\)"),
        ("sys.exit('Error writing trailer: No space left on device')", OSError, "No space left on device.*out.nut"),
        ("os.kill(os.getpid(), signal.SIGKILL)", MediaError, r"killed \(signal 9\)"),
    ],
)
def test_whatever_a_program_does(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, body: str, error: type[Exception], says: str
) -> None:
    pretend(tmp_path, monkeypatch, body)
    with pytest.raises(error, match=says):
        run_ffmpeg_job(source, OUT, FFmpegJob())
    assert not OUT.exists()


def test_a_program_that_does_not_run_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "ffmpeg"
    with pytest.raises(UsageError, match="does not run"):
        program_version(broken)
    if os.name != "nt":
        broken.write_text("#!/bin/sh\necho something else\n")
        broken.chmod(0o755)
        with pytest.raises(UsageError, match="it is not ffmpeg"):
            program_version(broken)


def test_without_a_program_it_says_what_to_do(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UsageError, match=r"no ffmpeg .* — install ffmpeg, or: pip install imageio-ffmpeg"):
        run_ffmpeg_job(source, OUT, FFmpegJob("null"))
    assert not OUT.exists()


def test_options_are_names_and_values() -> None:
    assert parse_options("") == ()
    assert parse_options(" q:v=65 , profile:v= high ") == (("q:v", "65"), ("profile:v", "high"))
    assert parse_options("x264-params=keyint=9:bframes=0") == (("x264-params", "keyint=9:bframes=0"),)
    for wrong in (" preset = slow", "q:v", "q:v=", "=3", "-y=3", "a=1,,b=2", "a=1,", "a=1,a=2"):
        with pytest.raises(UsageError, match="encoder options"):
            parse_options(wrong)


def test_jobs_that_contradict_themselves_are_refused() -> None:
    names = ("color_trc", "sws_flags", "stats", "aspect:v")
    for wrong in (
        *({"options": (("q:v", "3"),)}, {"encoder": "mpeg4", "deep": True}, {"encoder": "mpeg4", "alpha": True}),
        *({"graph": "null\0"}, *({"encoder": "mpeg4", "options": ((name, "x"),)} for name in names)),
    ):
        with pytest.raises(UsageError):
            FFmpegJob(**wrong)  # type: ignore[arg-type]
