"""Clips that are not as they should be: what is read of them, at which times, and what is said about it."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from chain import refuse, said
from clips import (
    decode,
    moving_frames,
    number_in,
    numbered,
    same_frames,
    scene,
    sound_packets,
    write_clip,
    write_folder,
)
from oddities import (
    FAST,
    HLG,
    ORIENTATIONS,
    PQ,
    combing,
    cut_outs,
    hdr_clip,
    index_first,
    packets_before,
    ramp,
    remux,
    rotted,
    turned,
    two_tracks,
    with_cover,
    woven,
    write_frames,
    write_grey,
    write_woven,
)
from PIL import Image

from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.core.errors import MediaError
from vidtrans.core.events import Note
from vidtrans.core.settings import Size
from vidtrans.session import Context
from vidtrans.video.frame_format import DEFAULT_FORMAT, FrameFormat
from vidtrans.video.io.clip import Frame
from vidtrans.video.io.pictures import open_reader
from vidtrans.video.io.reader import ClipReader

B_FRAMES = {"crf": "12", "preset": "fast", "g": "12", "bf": "3"}


def opened(path: Path, **options: Any) -> tuple[Clip, list[str]]:
    notes: list[Any] = []
    clip = open_clip(Context(**{"cache_dir": Path("cache"), "report": notes.append, **options}), path)
    return clip, [event.text for event in notes if isinstance(event, Note) and event.level == "warning"]


def frames_of(
    clip: Clip, start: int = 0, stop: int | None = None, *, form: FrameFormat = DEFAULT_FORMAT, threads: int = 1
) -> list[Frame]:
    with clip.reader(form, threads) as reader, closing(reader.frames(start, stop, clip.index)) as frames:
        return list(frames)


def check_middles(clip: Clip, starts: Sequence[int]) -> None:
    whole = frames_of(clip)
    for start in starts:
        assert same_frames(frames_of(clip, start, start + 2), whole[start : start + 2]), start


def given_times(name: str) -> list[int | None]:
    with closing(av.open(name)) as container:
        return [f.pts for f in container.decode(video=0)]


@pytest.mark.parametrize(("name", "codec", "first"), [("a.ts", "mpeg2", "bff"), ("a.mov", "prores", "tff")])
def test_of_woven_fields_one_whole_picture_is_made_at_the_same_time(name: str, codec: str, first: str) -> None:
    path = write_woven(Path(name), woven(12, first), first, codec)
    pts, _, pictures = decode(path)
    assert min(map(combing, pictures)) > 25
    clip, told = opened(path)
    assert list(clip.index.pts) == pts
    assert len(pts) == clip.index.findings.interlaced == 12
    assert any("interlaced (12 frames)" in line for line in told)
    made = frames_of(clip)
    assert max(combing(f.rgb) for f in made) < 5
    for frame in made:  # the bar is where the first field shows it
        bright = np.flatnonzero(frame.rgb[10:-10, :, 1].mean(axis=0) > 130)
        assert abs(bright.mean() - (8 * frame.index % 52 + 4.5)) <= 1
    check_middles(clip, (1, 5, 10, 3))


def test_progressive_frames_among_interlaced_ones_are_left_alone() -> None:
    still = moving_frames(10)
    parts = [write_clip(Path("a.h264"), still, rate=25, options=FAST), write_woven(Path("b.h264"), woven(10))]
    Path("c.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
    clip, told = opened(Path("c.h264"))
    assert clip.index.num_frames == 20
    assert clip.index.findings.interlaced == 10
    assert any("interlaced (10 frames)" in line for line in told)
    made = frames_of(clip)
    with ClipReader(Path("a.h264")) as reader:
        assert all(np.array_equal(f.rgb, g.rgb) for f, g in zip(made, reader.frames(), strict=False))
    assert max(combing(f.rgb) for f in made[10:]) < 5
    check_middles(clip, (9, 10, 11, 15))


def test_interlaced_and_turned_is_both_put_right_and_few_frames_are_all_there() -> None:
    clip, _ = opened(turned(write_woven(Path("a.mp4"), woven(6)), (0, 1, -1, 0)))
    assert (clip.index.width, clip.index.height) == (48, 64)
    made = frames_of(clip)
    assert {f.rgb.shape for f in made} == {(64, 48, 3)}
    assert max(combing(f.rgb.swapaxes(0, 1)) for f in made) < 5
    assert (made[3].rgb[26:32, 10:-10] > 180).all()  # the bar lies across, as far from the top as it was from the left
    for count in (1, 2):
        few, _ = opened(write_woven(Path(f"{count}.mp4"), woven(count)))
        assert few.index.num_frames == len(frames_of(few)) == count


def test_an_avi_that_numbers_its_packets_is_put_in_order() -> None:
    base = Fraction(1, 25)
    path = write_clip(Path("a.avi"), numbered(moving_frames(20)), rate=25, time_base=base, options=B_FRAMES)
    given, in_order = given_times("a.avi"), decode(path)[0]
    wrong = sum(a != b for a, b in zip(given, sorted(in_order), strict=True))
    assert wrong > 0
    clip, told = opened(path)
    assert list(clip.index.pts) == sorted(in_order)
    assert clip.index.num_rebuilt_pts == wrong
    assert any(f"{wrong} frames had no timestamp, or a wrong one" in line for line in told)
    assert [number_in(f.rgb) for f in frames_of(clip)] == list(range(20))
    check_middles(clip, (1, 7, 13, 18))


def test_a_rate_that_a_header_makes_up_is_not_believed() -> None:
    """An H.264 stream says how fine its clock is, and FFmpeg takes that for a rate where Matroska says none."""
    path = remux(write_clip(Path("a.mp4"), moving_frames(30), options=FAST), Path("a.mkv"))
    with closing(av.open(str(path))) as container:
        assert (container.streams.video[0].average_rate or 0) > 1000
    assert abs(opened(path)[0].index.rate - 30) < Fraction(1, 10)


@pytest.fixture(scope="module")
def cut_out_clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, frames = tmp_path_factory.mktemp("alpha"), cut_outs(3)
    vp9 = {"crf": "4", "b:v": "0", "cpu-used": "8", "deadline": "good"}
    prores = {"profile": "4444", "qscale": "2"}
    made = {
        "vp9": write_frames(folder / "vp9.webm", frames, "libvpx-vp9", "yuva420p", options=vp9),
        "prores4444": write_frames(folder / "a.mov", frames, "prores_ks", "yuva444p10le", options=prores),
        "png": folder / "png",
        "gif": folder / "a.gif",
    }
    made["png"].mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame, "RGBA").save(made["png"] / f"{number}.png")
    # What a GIF holds is there or not.
    pictures = [Image.fromarray(np.dstack([f[..., :3], hard(f[..., 3])]), "RGBA") for f in frames]
    pictures[0].save(made["gif"], save_all=True, append_images=pictures[1:], duration=40, disposal=2)
    return made


def hard(alpha: np.ndarray) -> np.ndarray:
    return np.where(alpha < 128, 0, 255).astype(np.uint8)


def wanted_cut_outs(kind: str) -> list[np.ndarray]:
    frames = cut_outs(3)
    for frame in frames if kind == "gif" else ():
        frame[..., 3] = hard(frame[..., 3])
    return frames


ALPHA = ["vp9", "prores4444", "png", "gif"]


def read_cut_outs(path: Path, form: FrameFormat) -> list[Frame]:
    with open_reader(path, form) as reader, closing(reader.frames()) as frames:
        return list(frames)


@pytest.mark.parametrize("kind", ALPHA)
def test_transparency_is_kept_laid_on_a_ground_or_read_as_a_matte(kind: str, cut_out_clips: dict[str, Path]) -> None:
    path, ground = cut_out_clips[kind], 255 if kind == "png" else 0
    index = opened(path)[0].index
    assert (index.findings.alpha, index.num_frames) == (True, 3)
    kept, matte = (read_cut_outs(path, FrameFormat(alpha=alpha)) for alpha in ("kept", "matte"))
    for frame, white, wanted in zip(kept, matte, wanted_cut_outs(kind), strict=True):
        assert frame.alpha is not None
        solid = wanted[..., 3] == 255
        assert np.abs(frame.rgb.astype(int) - wanted[..., :3])[solid].max() <= (12 if kind == "vp9" else 4)
        assert (frame.rgb[frame.alpha == 0] == ground).all()  # what is not seen is no loud green
        assert np.abs(frame.alpha.astype(int) - wanted[..., 3]).mean() < 1
        assert np.abs(white.rgb.astype(int) - wanted[..., 3:]).mean() < 1
        assert (white.rgb[24, 20].min(), white.rgb[2, 60].max()) == (255, 0)
    for form, expected in ((DEFAULT_FORMAT, [ground] * 3), (FrameFormat(background=(10, 200, 90)), [10, 200, 90])):
        frame = read_cut_outs(path, form)[2]
        assert frame.alpha is None
        assert frame.rgb[2, 60].tolist() == expected
        assert np.abs(frame.rgb[24, 20].astype(int) - (220, 100, 30)).max() <= 12


@pytest.mark.parametrize("kind", ["prores4444", "gif"])
def test_no_colour_bleeds_in_from_what_is_not_seen(kind: str, cut_out_clips: dict[str, Path]) -> None:
    for size in ((37, 29), (150, 110)):
        for frame in read_cut_outs(cut_out_clips[kind], FrameFormat(Size(exact=size))):
            rgb = frame.rgb.astype(int)
            assert rgb.shape[:2] == size[::-1]
            assert (rgb[..., 1] - rgb[..., 0]).max() <= 12  # on black or white no pixel is greener than the disc
        for frame in read_cut_outs(cut_out_clips[kind], FrameFormat(Size(exact=size), alpha="kept")):
            assert frame.alpha is not None
            seen = frame.rgb[frame.alpha > 40].astype(int)
            assert np.abs(seen - (220, 100, 30)).max() <= 16


def test_a_ramp_of_10_bits_is_read_at_its_full_depth_or_rounded() -> None:
    codes = np.broadcast_to(np.linspace(64, 940, 1024).round().astype(np.uint16), (64, 1024))
    lossless = {"qp": "0", "preset": "ultrafast"}
    clip, _ = opened(write_grey(Path("a.mkv"), codes, "libx264", "yuv444p10le", options=lossless))
    assert clip.index.findings.depth == 10
    exact = (codes[32].astype(float) - 64) / (940 - 64)
    for deep, full, least in ((True, 65535, 800), (False, 255, 256)):
        for frame in frames_of(clip, form=FrameFormat(deep=deep)):
            line = frame.rgb[32].astype(float)
            assert np.ptp(line, axis=1).max() <= full * 0.003
            assert len(np.unique(line[:, 1])) >= least
            assert np.abs(line[:, 1] / full - exact).max() <= 2 / 876 + 0.5 / full
            assert (line[0].max(), line[-1].min()) == (0, full)
        for frame in frames_of(clip, form=FrameFormat(Size(exact=(512, 32)), deep=deep)):
            assert len(np.unique(frame.rgb[16, :, 1])) >= (480 if deep else 250)


def test_a_size_that_changes_on_the_way_is_scaled_to_the_first() -> None:
    base = Fraction(1, 90_000)
    first, second = moving_frames(10, (64, 48)), [cv2.resize(f, (128, 96)) for f in moving_frames(20, (64, 48))[10:]]
    one = write_clip(Path("a.ts"), first, rate=25, time_base=base, options=FAST)
    later = [36_000 + 3600 * i for i in range(10)]
    two = write_clip(Path("b.ts"), second, rate=25, time_base=base, pts=later, options=FAST)
    Path("c.ts").write_bytes(one.read_bytes() + two.read_bytes())
    clip, told = opened(Path("c.ts"))
    assert (clip.index.num_frames, clip.index.width, clip.index.height) == (20, 64, 48)
    assert clip.index.findings.resized == 10
    assert any("10 frames of another size than the first: scaled to 64x48" in line for line in told)
    for frame, wanted in zip(frames_of(clip), moving_frames(20, (64, 48)), strict=True):
        assert frame.rgb.shape == (48, 64, 3)
        assert np.abs(frame.rgb.astype(int) - wanted).mean() < 6
    check_middles(clip, (9, 10, 11))


@pytest.mark.parametrize("name", ["upright", "turned-right", "turned-left", "mirrored", "transposed-otherwise"])
def test_turns_and_mirrors_of_a_file_are_undone(name: str) -> None:
    matrix, upright = ORIENTATIONS[name]
    picture = scene(64, 48, seed=4)
    expected = upright(picture)
    tags = {"sample_aspect_ratio": Fraction(16, 11)}
    path = turned(write_frames(Path("a.mp4"), [picture] * 3, "libx264", "yuv420p", options=FAST, tags=tags), matrix)
    clip, told = opened(path)
    assert told == []
    assert clip.index.sample_aspect_ratio == (Fraction(11, 16) if matrix[0] == 0 else Fraction(16, 11))
    assert clip.index.findings.turned == (name != "upright")
    assert (clip.index.width, clip.index.height) == expected.shape[1::-1]
    for frame in frames_of(clip):
        assert np.abs(frame.rgb.astype(int) - expected).mean() < 6
    small = frames_of(clip, 0, 1, form=FrameFormat(Size(short=24)))[0].rgb
    assert small.shape[:2] == tuple(s // 2 for s in expected.shape[:2])


@pytest.mark.parametrize(("default", "ending"), [(0, "mkv"), (1, "mp4")])
def test_of_two_tracks_the_default_one_is_read_and_cover_art_is_not_the_film(default: int, ending: str) -> None:
    clip, _ = opened(two_tracks(Path(f"a.{ending}"), default=default))
    assert (clip.index.width, clip.index.height) == ((64, 48), (96, 64))[default]
    assert clip.index.num_frames == 6
    check_middles(clip, (1, 3))
    clip, _ = opened(with_cover(Path("b.mp4")))
    assert (clip.index.num_frames, clip.index.width, clip.index.height) == (8, 64, 48)


def test_a_codec_that_is_not_known_is_refused_and_beside_it_the_other_track_is_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    alone = write_clip(Path("alone.mp4"), moving_frames(3), options=FAST)
    alone.write_bytes(alone.read_bytes().replace(b"avc1\0", b"zzzz\0"))
    assert "alone.mp4: " in refuse(capsys, 3, "probe", alone)
    path = two_tracks(Path("a.mp4"), default=1)
    path.write_bytes(path.read_bytes().replace(b"avc1\0", b"zzzz\0", 1))
    index = opened(path)[0].index
    assert (index.num_frames, index.width, index.height) == (6, 96, 64)


@pytest.mark.parametrize(("transfer", "name", "white"), [(PQ, "PQ", 0.5807), (HLG, "HLG", 0.75)])
def test_hdr_is_mapped_and_said(transfer: int, name: str, white: float) -> None:
    picture = ramp(256, 32)
    picture[8:24, 96:160] = round(white * 65535)
    path = turned(hdr_clip(Path("a.mp4"), transfer=transfer, frame=picture), (0, 1, -1, 0))
    clip, told = opened(path)
    assert clip.index.findings.colour == name
    assert (clip.index.width, clip.index.height, clip.index.findings.depth) == (32, 256, 10)
    assert sum(f"HDR ({name}): mapped to SDR, BT.709" in line for line in told) == 1
    for deep, full in ((False, 255), (True, 65535)):
        rgb = frames_of(clip, form=FrameFormat(deep=deep))[1].rgb.swapaxes(0, 1) / full
        line = rgb[28].mean(axis=1)
        assert line[:3].max() < 0.02
        assert line[-1] > 0.98
        assert (np.diff(line[::8]) > -0.01).all()
        assert 0.75 < rgb[12:20, 110:150].mean() < 0.95
        assert np.abs(rgb - rgb.mean(axis=2, keepdims=True)).max() < 0.04


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    whole = write_clip(folder / "whole.mp4", numbered(moving_frames(40)), sound=True, options=B_FRAMES)
    return index_first(whole, folder / "film.mp4")


def check_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refuse(capsys, 3, "stylize", path, "--model", "identity")
    assert f"{path}: damaged: " in told
    assert "--allow-damaged" in told


def said_or_refused(path: Path) -> bool:
    """Whether anything is said. Takes that were joined look much like damage, so an error is not asked for."""
    try:
        return bool(opened(path)[1])
    except MediaError:
        return True


def check_usable(path: Path) -> Clip:
    """With leave, the same frames come out every time, whatever the machine; the loss is said."""
    clip, told = opened(path, allow_damaged=True)
    assert sum("damaged: " in line for line in told) == 1
    whole = frames_of(clip)
    assert [f.pts for f in whole] == list(clip.index.pts)
    assert same_frames(frames_of(clip, threads=3), whole)
    check_middles(clip, (clip.index.num_frames // 2,))
    return clip


def test_of_an_mp4_that_was_cut_off_what_is_there_is_used(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, path = film.read_bytes(), Path("cut.mp4")
    path.write_bytes(data[: len(data) // 2])
    pictures, sounds = packets_before(film, len(data) // 2)
    assert 5 < len(pictures) < 40
    check_refused(path, capsys)
    clip = check_usable(path)
    on_four_threads = opened(path, allow_damaged=True, decode_threads=4, cache_dir=Path("another"))[0]
    assert on_four_threads.index == clip.index
    # Every picture whose bytes are there; one that is cut in two may be there too.
    shown = set(clip.index.pts)
    assert pictures <= shown
    assert len(shown) <= len(pictures) + 1
    found = clip.index.findings
    assert (found.missing + found.lost + len(shown), found.hidden) in ((40, 0), (41, 0))  # lost: what is cut in two
    assert [number_in(f.rgb) for f in frames_of(clip) if f.pts in pictures] == [p // 512 for p in sorted(pictures)]
    said(capsys, 0, "stylize", path, "--model", "identity", "--allow-damaged", "-o", "out.mp4")
    assert decode(Path("out.mp4"))[0] == list(clip.index.pts)
    heard = sound_packets(Path("out.mp4"))
    assert heard[:sounds] == sound_packets(film)[:sounds]
    assert sounds <= len(heard) <= sounds + 1


def test_of_a_rotten_file_every_frame_keeps_its_time(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rotted(film, Path("rot.mp4"), 1, flips=12, part=(0.3, 0.9))
    check_refused(path, capsys)
    clip = check_usable(path)
    found = clip.index.findings
    times = [512 * i for i in range(40)]
    assert set(clip.index.pts) <= set(times)
    assert 40 - found.lost - found.missing <= len(clip.index.pts) <= 40
    assert found.hidden == 0
    # What lies before the damage is as it was.
    with ClipReader(film, threads=1) as reader:
        intact = {f.pts: f.rgb for f in reader.frames()}
    before = packets_before(film, int(film.stat().st_size * 0.3))[0]
    assert len(before) > 5
    assert before <= set(clip.index.pts)
    assert all(np.array_equal(f.rgb, intact[f.pts]) for f in frames_of(clip) if f.pts in before)
    assert found.damaged_at is not None
    assert found.damaged_at >= min(t for t in times if t not in before) / 15_360


def test_a_frame_that_is_missing_from_a_transport_stream_is_said() -> None:
    """A frame as small as this is one packet of the stream. Nothing is decoded in error; a number is left out."""
    path = write_clip(
        Path("a.ts"), moving_frames(40), time_base=Fraction(1, 90_000), options={"crf": "30", "preset": "medium"}
    )
    data = path.read_bytes()
    video = [at for at in range(0, len(data), 188) if (data[at + 1] & 0x1F, data[at + 2]) == (1, 0)]
    begins = [bool(data[at + 1] & 0x40) for at in video]
    alone = [at for at, *both in zip(video, begins, begins[1:], strict=False) if all(both)]
    lost = alone[len(alone) // 2]
    path.write_bytes(data[:lost] + data[lost + 188 :])
    assert len(decode(path)[0]) == 39
    assert said_or_refused(path)


def test_frames_before_the_first_keyframe_and_after_the_end_are_lost_and_said(
    film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its first keyframe is gone: the 11 that are made from it cannot be shown."""
    path = remux(film, Path("a.ts"), lambda number, packet: number > 0 or packet.stream.type == "audio")
    plain = len(decode(path)[0])
    assert plain < 39
    check_refused(path, capsys)
    clip = check_usable(path)
    assert clip.index.num_frames >= plain
    assert clip.index.findings.hidden == 0
    numbers = [number_in(f.rgb) for f in frames_of(clip)]
    assert numbers[-plain:] == list(range(40 - plain, 40))
    whole = remux(film, Path("whole.mkv"))  # a shorter one, as far as its headers say
    Path("half.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert 10 < len(decode(Path("half.mkv"))[0]) < 30
    assert said_or_refused(Path("half.mkv"))


def test_a_file_whose_every_frame_is_damaged_is_refused_with_leave_too(
    film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(film.read_bytes())
    begin = data.index(b"mdat") + 4
    data[begin:] = np.random.default_rng(3).bytes(len(data) - begin)
    Path("noise.mp4").write_bytes(data)
    for more in ((), ("--allow-damaged",)):
        assert "noise.mp4" in refuse(capsys, 3, "stylize", "noise.mp4", "--model", "identity", *more)


def png_of(side: int) -> bytes:
    """A PNG, whole and small, of black and white pixels: some 30 kB, and 768 MB as RGB at a side of 16000."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    lines = zlib.compress(bytes((side + 15) // 8 * side), 1)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", lines) + part(b"IEND", b"")


def huge(name: str) -> Path:
    """A small file that claims to be a huge picture or video."""
    path, claim = Path(name), struct.pack(">HH", 20000, 20000)
    if name == "in":
        write_folder(path, [scene(64, 48, 1)])
        (path / "1.png").write_bytes(png_of(16000))
    elif path.suffix == ".gif":
        Image.fromarray(scene(64, 48, 1)).save(path)
        data = path.read_bytes()
        path.write_bytes(data[:6] + struct.pack("<HH", 20000, 20000) + data[10:])
    elif path.suffix == ".avi":
        write_frames(path, moving_frames(3), "mjpeg", "yuvj420p")
        path.write_bytes(re.sub(rb"(\xff\xc0...).{4}", lambda m: m[1] + claim, path.read_bytes(), flags=re.DOTALL))
    elif path.suffix == ".y4m":
        path.write_bytes(b"YUV4MPEG2 W20000 H20000 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(1000))
    else:
        path.write_bytes(png_of(16000))
    return path


HUGE = ["png.mp4", "a.gif", "a.avi", "a.y4m", "in"]


def test_what_claims_to_be_huge_is_refused_before_it_takes_memory() -> None:
    """In a process of its own: how much it took at most is known of a process as a whole."""
    write_clip(Path("small.mp4"), moving_frames(3), options=FAST)
    for name in HUGE:
        huge(name)
    script = f"""
from vidtrans.cli.main import run
from vidtrans.core.system import peak_memory
peak = lambda: peak_memory() >> 20
assert run(["probe", "small.mp4", "-q"]) == 0
for name in {HUGE}:
    before = peak()
    print("refused", name, run(["probe", name]), peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("refused ")]
    assert [(name, status) for _, name, status, _ in lines] == [(name, "3") for name in HUGE]
    assert max(int(megabytes) for *_, megabytes in lines) < 64, lines
    assert "Traceback" not in done.stderr
    for name in HUGE:
        assert len(re.findall(rf"^error: {name}[:/]", done.stderr, re.MULTILINE)) == 1, name
    assert re.search(r"^error: in[:/].* too large", done.stderr, re.MULTILINE)
