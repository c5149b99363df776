"""Files as cameras, recorders and editors leave them: clocks, edit lists, rates, old sound, tracks beside the film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from chain import refuse, said
from clips import moving_frames, sound_packets, times
from oddities import FAST, boxed, edited, remux, spherical, stereo, with_captions, with_cover, with_sound, write_frames

from vidtrans.video.io.sound import RATE_HZ, read_blocks
from vidtrans.video.io.timestamps import ClockFilter

Capsys = pytest.CaptureFixture[str]
IDENTITY = ("--model", "identity")
RATE = Fraction(30_000, 1001)


def film(name: str, video: str, sound: str, count: int = 12) -> Path:
    options = FAST if video == "libx264" else {}
    pictures = write_frames(Path("pictures.mp4"), moving_frames(count), video, "yuv420p", options=options)
    return with_sound(pictures, Path(name), sound, seconds=count / 25)


def starts(path: Path) -> list[Fraction]:
    with closing(av.open(str(path))) as container:
        tracks = (container.streams.video[0], *container.streams.audio)
        return [t.start_time * t.time_base for t in tracks if t.start_time is not None and t.time_base is not None]


def samples(path: Path) -> tuple[float, np.ndarray]:
    with closing(av.open(str(path))) as container:
        frames = list(container.decode(audio=0))
        first = frames[0].pts
        assert first is not None
        return float(first * frames[0].time_base), np.concatenate([f.to_ndarray().ravel() for f in frames])


def render(capsys: Capsys, source: Path, ending: str, *more: str) -> tuple[Path, str]:
    output = Path(f"out.{ending}")
    return output, said(capsys, 0, "stylize", source, *IDENTITY, "-o", output, *more)


@pytest.mark.parametrize(
    ("name", "video", "sound", "late"),
    [
        ("a.ts", "libx264", "aac", 582),
        ("a.ts", "mpeg2video", "mp2", 95_440),  # the clock restarts after 95,443.7 s: 2**33 ticks of 90 kHz
        ("a.mkv", "libx264", "aac", 582),
    ],
)
def test_a_clock_that_begins_late_counts_from_0(name: str, video: str, sound: str, late: int, capsys: Capsys) -> None:
    source = remux(film("film.mkv", video, sound, 6), Path(name), output_ts_offset=str(late))
    given = starts(source)
    assert min(given) > 500 or late > 10_000
    for ending in ("mp4", "mkv"):
        result = starts(render(capsys, source, ending)[0])
        assert min(result) == pytest.approx(0, abs=0.001)
        assert result[1] - result[0] == pytest.approx(float(given[1] - given[0]), abs=0.001)
    assert starts(render(capsys, source, "mp4", "--start", "0.08s", "--overwrite")[0])[0] == 0
    assert sum(map(len, read_blocks(source))) < RATE_HZ


@pytest.mark.parametrize(
    ("name", "sound", "ending", "spans"),
    [("a.mp4", "aac", "mp4", [(0, 0.4), (0.8, 1.2)]), ("a.mp4", "libopus", "webm", [(0.31, 1.2)])],
)
def test_what_an_edit_list_hides_is_not_heard(
    name: str, sound: str, ending: str, spans: Sequence[tuple[float, float]], capsys: Capsys
) -> None:
    source = edited(film(f"film{Path(name).suffix}", "mpeg4", sound, 30), Path(name), *spans)
    output, _ = render(capsys, source, ending)
    assert len(times(output)) == len(times(source))
    (first, whole), (given, wanted) = samples(output), samples(source)
    assert first == pytest.approx(given, abs=0.001)
    if len(spans) == 1:
        assert len(whole) == len(wanted)
        assert np.abs(whole.astype(float) - wanted).max() <= 0.1 * np.abs(wanted.astype(float)).max()
    else:  # a packet that is half hidden in the middle is kept
        assert abs(len(whole) - len(wanted)) <= 4096


def rates(path: Path) -> tuple[float, float, float]:
    with closing(av.open(str(path))) as container:
        stream = container.streams.video[0]
        found = float(stream.average_rate or 0), float(stream.guessed_rate or 0)
    capture = cv2.VideoCapture(str(path))
    return *found, capture.get(cv2.CAP_PROP_FPS)


@pytest.mark.parametrize(("rate", "ending"), [(Fraction(30), "mkv"), (RATE, "mp4")])
def test_times_rounded_to_milliseconds_keep_their_rate(rate: Fraction, ending: str, capsys: Capsys) -> None:
    source = Path("a.mkv")
    with closing(av.open(str(source), "w")) as container:
        stream: Any = container.add_stream("libx264", rate=rate, options=FAST)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for rgb in moving_frames(31):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    assert len({b - a for a, b in pairwise(times(source))}) > 1
    output, _ = render(capsys, source, ending)
    assert rates(output) == pytest.approx([float(rate)] * 3, abs=0.002)
    assert times(output) == times(source)


@pytest.mark.parametrize(("name", "codec"), [("a.h264", "libx264"), ("a.m2v", "mpeg2video")])
def test_a_raw_stream_has_the_rate_of_its_own_header(name: str, codec: str, capsys: Capsys) -> None:
    source = write_frames(Path(name), moving_frames(8), codec, "yuv420p", rate=30)
    output, _ = render(capsys, source, "mp4")
    assert times(output) == [Fraction(i, 30) for i in range(8)]


@pytest.mark.parametrize(("name", "sound"), [("a.avi", "adpcm_ms"), ("a.wmv", "wmav1")])
def test_old_sound_is_copied_into_mkv(name: str, sound: str, capsys: Capsys) -> None:
    source = film(name, "mpeg4", sound)
    assert np.array_equal(samples(render(capsys, source, "mkv")[0])[1], samples(source)[1])
    said_of_mp4 = said(capsys, 2, "stylize", source, *IDENTITY, "-o", "out.mp4")
    assert "use -o with" in said_of_mp4
    assert ".mkv" in said_of_mp4


def test_a_remedy_for_sound_is_one_that_helps(capsys: Capsys) -> None:
    for name, sound, ending, remedy in (
        ("a.m2ts", "pcm_bluray", "mkv", "convert its sound first, for example to FLAC, or --set encoding.sound=none"),
        ("a.mov", "pcm_f32be", "mkv", "use -o with .mp4 or .mov, or"),
        ("b.mkv", "libopus", "mov", "use -o with .mp4 or .mkv or .webm, or"),
    ):
        source = film(name, "mpeg2video", sound)
        assert remedy in refuse(capsys, 2, "stylize", source, *IDENTITY, "-o", f"out.{ending}")
    assert remedy.partition(", or")[0] in refuse(capsys, 2, "compare", source, source, "-o", "out.mov")


def laden(path: Path) -> Path:
    """A film with a font, a cover, a second video track and a chapter of two titles."""
    titles = {"title": "One", "TITLE-deu": "Eins"}
    with closing(av.open(str(with_cover(Path("cover.mp4"), 4)))) as read, closing(av.open(str(path), "w")) as out:
        packets = [p for p in read.demux() if p.size]
        tracks = [out.add_stream_from_template(read.streams.video[0], opaque=True) for _ in range(2)]
        out.add_attachment("letters.ttf", "font/ttf", b"not really a font")
        out.add_attachment("cover.jpg", "image/jpeg", next(bytes(p) for p in packets if p.stream_index == 1))
        out.set_chapters([{"id": 1, "start": 0, "end": 100, "time_base": Fraction(1, 1000), "metadata": titles}])
        for packet in packets:
            for track in tracks if packet.stream_index == 0 else ():
                packet.stream = track
                out.mux(packet)
    return path


def contents(path: Path) -> tuple[list[str], list[bytes], list[dict[str, str]]]:
    """The kinds of tracks, the attachments, and the chapters' tags of a file."""
    with closing(av.open(str(path))) as container:
        attached = [s.data for s in container.streams.attachments]
        return [s.type for s in container.streams], attached, [c["metadata"] for c in container.chapters()]


def test_fonts_covers_and_titles_are_copied_into_mkv_or_named(capsys: Capsys) -> None:
    source = laden(Path("a.mkv"))
    output, words = render(capsys, source, "mkv")
    kinds, attached, titles = contents(output)
    assert (kinds, attached) == (["video", "attachment", "video"], [b"not really a font"])
    assert titles == contents(source)[2]
    assert "left out of matroska: video track 1\n" in words.replace("  ", " ")
    for ending, missing in (("mp4", ""), ("mov", "cover art, "), ("webm", "cover art, ")):
        output, words = render(capsys, source, ending)
        assert f"video track 1, attachment (letters.ttf), {missing}second titles of chapters" in " ".join(words.split())
        assert contents(output)[0].count("video") == (2 if ending == "mp4" else 1)


def test_a_cover_is_kept(capsys: Capsys) -> None:
    source = with_cover(Path("a.mp4"), 4)
    for ending in ("mp4", "mkv"):
        with closing(av.open(str(render(capsys, source, ending)[0]))) as result, closing(av.open(str(source))) as given:
            pictures = [next(bytes(p) for p in c.demux(c.streams.video[1]) if p.size) for c in (result, given)]
        assert pictures[0] == pictures[1]


def tagged(path: Path, tags: dict[str, str], track_tags: dict[str, str]) -> Path:
    """A film with tags of the file, as cameras and editors name them, and of the pictures' track."""
    pictures = write_frames(Path("pictures.mkv"), moving_frames(3), "libx264", "yuv420p", options=FAST)
    options = {"movflags": "use_metadata_tags"} if path.suffix != ".mkv" else {}
    with closing(av.open(str(pictures))) as read, closing(av.open(str(path), "w", options=options)) as out:
        track = out.add_stream_from_template(read.streams.video[0], opaque=True)
        out.metadata.update(tags)
        track.metadata.update(track_tags)
        for packet in [p for p in read.demux(video=0) if p.size]:
            packet.stream = track
            out.mux(packet)
    return path


def in_small(tags: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in tags.items()}


APPLE = "com.apple.quicktime."
CAMERA = {
    f"{APPLE}make": "Maker",
    f"{APPLE}model": "Phone 9",
    f"{APPLE}location.ISO6709": "+10.0000+020.0000/",
    f"{APPLE}creationdate": "2021-05-06T07:08:09+0100",
    "com.android.capture.fps": "240.0",
    "title": "Harbour",
}


@pytest.mark.parametrize(("name", "ending"), [("a.mov", "mp4"), ("a.mkv", "mov")])
def test_a_cameras_tags_and_names_of_tracks_are_kept(name: str, ending: str, capsys: Capsys) -> None:
    source = tagged(Path(name), CAMERA, {"title": "Camera B", "handler_name": "\x1fBoom", "language": "jpn"})
    with closing(av.open(str(render(capsys, source, ending)[0]))) as result:
        tags, track = result.metadata, result.streams.video[0]
        assert in_small(tags).items() >= in_small(CAMERA).items()
        if ending != "mkv":
            assert tags[f"{APPLE}location.ISO6709"] == CAMERA[f"{APPLE}location.ISO6709"]
            assert tags[f"{APPLE}title"] == "Harbour"
        named = in_small(track.metadata)
        assert (named.get("title", named.get("name")), named["handler_name"]) == ("Camera B", "Boom")
        assert named["language"] == "jpn"
        assert track.disposition == Disposition.default


def test_what_a_container_cannot_name_and_what_is_in_the_pictures_is_reported(capsys: Capsys) -> None:
    source = boxed(film("b.mp4", "libx264", "aac"), Path("a.mp4"), stereo(2), spherical(0, 0, 1 << 30, 1 << 30))
    assert "left out" not in render(capsys, source, "mkv")[1]
    words = " ".join(render(capsys, source, "mov")[1].split())
    assert "left out of mov: stereo 3D (views side by side), spherical projection (part of an" in words
    pictures = write_frames(Path("c.mp4"), moving_frames(4), "libx264", "yuv420p", options=FAST)
    words = render(capsys, with_captions(pictures, Path("d.mp4")), "mp4")[1]
    assert "closed captions within the pictures: not kept" in " ".join(words.split())


def joined(name: str, video: str, sound: str, late_s: Sequence[int] = (0, 0)) -> list[Path]:
    """Recordings, each with a clock of its own that begins ``late_s`` later, and first of all the joined file."""
    parts = []
    for number, late in enumerate(late_s):
        source = film(f"film{number}.mkv", video, sound, 12)
        parts.append(remux(source, Path(f"{number}-{name}"), output_ts_offset=str(late)))
    data = [part.read_bytes() for part in parts]
    head = 13 if name.endswith("flv") else 0  # one recorder that began again: FFmpeg loses its way at a second header
    Path(name).write_bytes(data[0] + b"".join(more[head:] for more in data[1:]))
    return [Path(name), *parts]


def offsets(path: Path, firsts: Sequence[int]) -> list[float]:
    """Return the time of each sound packet minus that of the picture at its place in ``firsts``, in s."""
    seen, heard = times(path)[::12], [at for at, _ in sound_packets(path)]
    return [float(heard[number] - seen[part]) for part, number in enumerate(firsts)]


@pytest.mark.parametrize(
    ("name", "video", "sound", "late_s", "ending"),
    [
        ("a.ts", "libx264", "mp2", (90_000, 1000), "mkv"),  # FFmpeg adds 2**33 ticks to the second
        ("a.m2ts", "libx264", "aac", (5, 0), "mp4"),
        pytest.param("a.flv", "libx264", "aac", (0, 0), "mkv", marks=pytest.mark.thorough),
    ],
)
def test_joined_recordings_follow_each_other_with_their_sound(
    name: str, video: str, sound: str, late_s: Sequence[int], ending: str, capsys: Capsys
) -> None:
    source, *parts = joined(name, video, sound, late_s)
    given = [sound_packets(part) for part in parts]
    firsts = [sum(map(len, given[:number])) for number in range(len(parts))]
    wanted = [float(packets[0][0] - times(part)[0]) for packets, part in zip(given, parts, strict=True)]
    result, told = render(capsys, source, ending)
    assert f"its clock starts again in {len(parts) - 1} place" in told
    assert len(times(result)) == 12 * len(parts)
    assert offsets(result, firsts) == pytest.approx(wanted, abs=0.0016)
    gaps = {round(float(b - a), 2) for a, b in pairwise(times(result))}
    assert gaps <= {0.04, 0.08}  # a picture may be held for sound that is longer
    copied, own = ([data for _, data in sound_packets(path)] for path in (result, source))
    assert len(copied) == len(own)
    assert all(a.endswith(b) for a, b in zip(own, copied, strict=True))  # AAC loses its ADTS headers
    assert sum(map(len, read_blocks(source))) / RATE_HZ == pytest.approx(0.5 * len(parts), abs=0.1)
    said(capsys, 0, "stylize", source, *IDENTITY, "-o", "end.mkv", "--start", "16")
    assert starts(Path("end.mkv")) == pytest.approx([0, 0], abs=0.05)


def test_what_cannot_be_written_is_named_in_plain_words(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    source = joined("a.ts", "mpeg2video", "mp2")[0]
    monkeypatch.setattr(ClockFilter, "__call__", lambda self, packet: packet)  # times go back
    told = said(capsys, 3, "stylize", source, *IDENTITY, "-o", "out.mp4")
    assert "a.ts: its sound cannot be written as mp4 from 0." in told
    assert "--set encoding.sound=none" in told
    assert "Invalid" not in told
    assert "partial" not in told


def crc(data: bytes) -> bytes:
    """The checksum of a table of a transport stream."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value.to_bytes(4, "big")


def two_programmes(path: Path, late_s: int) -> Path:
    """A transport stream of two programmes, woven packet by packet; the second's clock begins ``late_s`` later."""
    packets: list[tuple[float, bytes]] = []
    for number, (size, late) in enumerate((((64, 48), 0), ((32, 32), late_s)), 1):
        pictures = write_frames(Path("p.mp4"), moving_frames(12, size), "mpeg2video", "yuv420p")
        options = {"mpegts_start_pid": str(256 * number), "mpegts_pmt_start_pid": str(4096 + 256 * number)}
        options |= {"mpegts_service_id": str(number), "output_ts_offset": str(late)}
        part = remux(with_sound(pictures, Path("p.mkv"), "mp2", seconds=0.48), Path("p.ts"), **options).read_bytes()
        own = [part[at : at + 188] for at in range(0, len(part), 188)]
        own = [one for one in own if (one[1] & 0x1F, one[2]) not in ((0, 0), (0, 0x11))]  # its list of one programme
        packets += [(place / len(own), one) for place, one in enumerate(own)]
    table = bytes((0x00, 0xB0, 17, 0, 1, 0xC1, 0, 0, 0, 1, 0xF1, 0x00, 0, 2, 0xF2, 0x00))
    first = bytes((0x47, 0x40, 0, 0x10, 0)) + table + crc(table)
    path.write_bytes(first.ljust(188, b"\xff") + b"".join(one for _, one in sorted(packets, key=lambda item: item[0])))
    return path


@pytest.mark.parametrize("late_s", [0, 7200])
def test_only_the_programme_of_the_pictures_is_heard_and_copied(late_s: int, capsys: Capsys) -> None:
    source = two_programmes(Path("two.ts"), late_s)
    with closing(av.open(str(source))) as container:
        assert [s.type for s in container.streams] == ["video", "audio", "video", "audio"]
        own = [bytes(p) for p in container.demux(container.streams[1]) if p.size]
    result, told = render(capsys, source, "mkv")
    assert "two.ts: left out: sound track 3 (mp2) of another programme" in told
    assert [data for _, data in sound_packets(result)] == own
    assert starts(result)[1:] == pytest.approx([0], abs=0.03)
    assert len(starts(result)) == 2
    assert "not used: sound track 3 (mp2) of another programme" in said(capsys, 0, "probe", source)
    assert sum(map(len, read_blocks(source))) < RATE_HZ
