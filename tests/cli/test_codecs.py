"""What is written with each codec: every frame at its time, the sound as it was, and the same bytes every time."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, number_in, numbered, scene, sound_packets, times, write_clip
from oddities import FAST, LANGUAGES, WORDS, cut_outs, with_sound, write_film, write_frames, write_grey
from PIL import Image
from streams import stream_of, timecode_track

from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import CODECS, EncodingSettings, PictureFormat, encoder_problem

Capsys = pytest.CaptureFixture[str]
IDENTITY = ("--model", "identity", "--set=rendering.chunk_frames=7")
# A GPU's where they work; test_hardware_video.py has what becomes of them elsewhere.
VIDEOS = [n for n, codec in CODECS.items() if not codec.unpacked and not (codec.software and encoder_problem(n))]
FIRST = ("h264", "av1", "prores4444", "ffv1")  # of each kind one; all are in the second tier
CODEC_NAMES = [pytest.param(name, marks=() if name in FIRST else pytest.mark.thorough) for name in VIDEOS]
PAIRS = [  # to join what is encoded into other containers is one code
    pytest.param(name, ending, marks=pytest.mark.thorough if place or name not in FIRST else ())
    for name in VIDEOS
    for place, ending in enumerate(CODECS[name].containers)
]
SIZE = (256, 128)
# Frames that are shown for 20 ms to a second: a variable rate, in a time base of 1/15360 s.
GAPS = [300, 600, 512, 512, 1024, 15_360, 512, 700, 701, 302]
VFR = list(accumulate(GAPS, initial=0))
COUNT = len(VFR)
ODD = dict.fromkeys(("h264", "h265", "prores4444", "ffv1"), (63, 47)) | {"av1": (65, 67), "dnxhr": (257, 121)}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same frames at a variable rate: "aac" and "opus" by their sound; "deep" has 10 bits."""
    folder = tmp_path_factory.mktemp("sources")
    frames = numbered(moving_frames(COUNT, SIZE))
    silent = write_clip(folder / "silent.mkv", frames, pts=VFR, options={"crf": "4", "preset": "ultrafast"})
    mp4 = write_clip(folder / "silent.mp4", frames, pts=VFR, options={"crf": "4", "preset": "ultrafast", "bf": "2"})
    seconds = (VFR[-1] + 512) / 15_360
    deep = [f.astype(np.uint16) * 257 for f in frames]
    options = {"crf": "4", "preset": "ultrafast", "x265-params": "log-level=error"}
    return {
        "aac": with_sound(mp4, folder / "aac.mp4", "aac", seconds=seconds),
        "opus": with_sound(silent, folder / "opus.mkv", "libopus", seconds=seconds),
        "deep": write_frames(folder / "deep.mp4", deep, "libx265", "yuv420p10le", options=options),
    }


def check_times(made: Path, wanted: list[Fraction]) -> None:
    """Exact where the container can; Matroska counts milliseconds."""
    within = Fraction(0) if made.suffix in (".mp4", ".mov") else Fraction(1, 2000)
    assert len(wanted) == len(times(made))
    assert all(abs(a - b) <= within for a, b in zip(times(made), wanted, strict=True))


def check_sound(made: Path, source: Path) -> None:
    """Packet for packet the same bytes, as far from the pictures as they were."""
    was, now = sound_packets(source), sound_packets(made)
    assert len(was) > 10
    assert [b for _, b in now] == [b for _, b in was]
    before, after = times(source)[0], times(made)[0]
    assert all(abs((b - after) - (a - before)) <= Fraction(1, 1000) for (a, _), (b, _) in zip(was, now, strict=True))


def near(made: np.ndarray, wanted: np.ndarray, mean: float) -> bool:
    return made.shape == wanted.shape and float(np.abs(made.astype(int) - wanted).mean()) <= mean


TAGS = {"h264": "avc1", "h265": "hvc1", "av1": "av01", "prores": "apch", "prores4444": "ap4h", "dnxhr": "AVdh"}


@pytest.mark.parametrize(("codec", "ending"), PAIRS)
def test_every_frame_keeps_its_time_and_the_sound_its_packets(
    codec: str, ending: str, sources: dict[str, Path], capsys: Capsys
) -> None:
    source, made = sources["opus" if ending == "webm" else "aac"], Path(f"out.{ending}")
    table = said_json(capsys, "stylize", source, *IDENTITY, "--codec", codec, "-o", made)
    assert (table["frames"], table["codec"], table["sound_packets"]) == (COUNT, codec, len(sound_packets(source)))
    check_times(made, [Fraction(p, 15_360) for p in VFR])
    check_sound(made, source)
    pictures, wanted = decode(made)[2], decode(source)[2]
    assert [number_in(p) for p in pictures] == list(range(COUNT))
    assert all(near(a, b, 6) for a, b in zip(pictures, wanted, strict=True))
    assert ending in ("mkv", "webm") or stream_of(made)["tag"] == TAGS[codec]  # as QuickTime wants it
    if ending == CODECS[codec].containers[0]:
        assert said_json(capsys, "probe", made)["frames"] == COUNT


@pytest.mark.parametrize("codec", CODEC_NAMES)
def test_yuv_is_tagged_bt709_and_as_deep_as_the_codec_is(codec: str, sources: dict[str, Path], capsys: Capsys) -> None:
    ending = CODECS[codec].containers[0]
    depths = CODECS[codec].depths
    expected = {8: min(depths), 10: 8 if codec == "h264" else max(depths)}
    for depth, source in ((8, sources["aac"]), (10, sources["deep"])):
        made = Path(f"{depth}.{ending}")
        table = said_json(capsys, "stylize", source, *IDENTITY, "--codec", codec, "-o", made, "--end", "3")
        found = stream_of(made)
        assert table["depth"] == expected[depth]
        # A decoder hands ProRes 4444 over in 12 bits, whatever it was made of.
        assert found["depth"] in ((12, 10) if codec == "prores4444" else (expected[depth],))
        assert not found["alpha"]
        with closing(av.open(str(made))) as container:  # some codecs have tags of their own, and decoders heed them
            frame = next(container.decode(video=0))
        tags = (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range)
        bt709 = (found["colour"], [int(tag) for tag in tags]) == ([1, 1, 1, 1], [1, 1, 1, 1])
        assert bt709 == (codec != "ffv1")  # which holds RGB


def test_the_depth_that_was_asked_for_is_written_or_refused(sources: dict[str, Path], capsys: Capsys) -> None:
    def command(codec: str, depth: int) -> tuple[object, ...]:
        return ("stylize", sources["deep"], *IDENTITY, "--codec", codec, f"--set=encoding.bit_depth={depth}")

    for codec, depth in (("h264", 10), ("h265", 8), ("ffv1", 16)):
        made = Path(f"{depth}.{CODECS[codec].containers[0]}")
        said(capsys, 0, *command(codec, depth), "-o", made, "--end", "2")
        assert stream_of(made)["depth"] == depth
    for codec, depth in (("prores", 8), ("av1", 16), ("gif", 10)):
        told = refuse(capsys, 2, *command(codec, depth))
        assert f"encoding.bit_depth {depth}" in told
        assert "use one of" in told


@pytest.mark.parametrize("codec", CODEC_NAMES)
def test_a_chunk_of_few_frames_is_written_and_always_the_same(codec: str, tmp_path: Path) -> None:
    """An encoder that is asked for fewer frames than it reorders may not know when to decode them."""
    settings, path = EncodingSettings(codec=codec), tmp_path / "segment"
    picture = PictureFormat(256, 128, Fraction(1), Fraction(1, 15_360), Fraction(30), settings.depth_for(8))
    for count in (1, 3):
        frames, made = moving_frames(count, SIZE), set()
        for _ in range(8 if codec == "h264" else 2):  # x264's AVX-512 code differed in one encode of six
            writer = SegmentWriter(path, picture, settings)
            for number, frame in enumerate(frames):
                writer.write(frame, 512 * number)
            writer.close()
            made.add(path.read_bytes())
        assert len(made) == 1
        with closing(av.open(str(path))) as container:
            stamps = sorted(p.pts * p.time_base for p in container.demux(video=0) if p.pts is not None)
        assert [b - a for a, b in pairwise(stamps)] == [Fraction(1, 30)] * (count - 1)


@pytest.fixture(scope="module")
def see_through(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("alpha") / "a.mkv", cut_outs(6, SIZE), "ffv1", "bgra")


@pytest.mark.parametrize(
    ("codec", "output", "within"), [("prores4444", "a.mov", 2), ("ffv1", "a.mkv", 0), ("png", "a", 0)]
)
def test_transparency_is_kept_if_it_can(
    codec: str, output: str, within: int, see_through: Path, capsys: Capsys
) -> None:
    assert said_json(capsys, "stylize", see_through, *IDENTITY, "--codec", codec, "-o", output)["alpha"] is True
    if codec == "png":
        found = [np.asarray(Image.open(path)) for path in sorted(Path(output).iterdir())]
    else:
        with closing(av.open(output)) as container:
            found = [f.to_ndarray(format="rgba") for f in container.decode(video=0)]
    for made, wanted in zip(found, cut_outs(6, SIZE), strict=True):
        assert np.abs(made[..., 3].astype(int) - wanted[..., 3]).max() <= within
        assert (made[wanted[..., 3] == 255][:, 3] == 255).all()
        seen = wanted[..., 3] > 64
        assert np.abs(made[..., :3].astype(int) - wanted[..., :3])[seen].max() <= 4 * within


def test_what_a_codec_cannot_hold_lies_on_black_and_is_said(see_through: Path, capsys: Capsys) -> None:
    told = said(capsys, 0, "stylize", see_through, *IDENTITY, "--codec", "h264", "-o", "out.mp4")
    assert "h264 has no transparency, so transparent areas become black" in told
    rgb = decode(Path("out.mp4"))[2][2].astype(int)
    assert rgb[4, 250].max() <= 3
    assert np.abs(rgb[64, 80] - (220, 100, 30)).max() <= 8


@pytest.mark.parametrize("codec", ODD)
def test_odd_sizes_are_kept_to_the_last_column(codec: str, capsys: Capsys) -> None:
    frames = [cv2.GaussianBlur(scene(*ODD[codec], seed=i), (0, 0), 3) for i in range(3)]
    source = write_frames(Path("in.mkv"), frames, "ffv1", "bgr0")
    made = Path(f"out.{CODECS[codec].containers[0]}")
    told = said(capsys, 0, "stylize", source, *IDENTITY, "--codec", codec, "-o", made, "--set=encoding.preset=fast")
    assert stream_of(made)["size"] == ODD[codec]
    assert ("is odd" in told) == (codec in ("h264", "h265"))
    for rgb, wanted in zip(decode(made)[2], frames, strict=True):
        assert near(rgb, wanted, 4)
        assert near(rgb[:, -2:], wanted[:, -2:], 8)
        assert near(rgb[-2:], wanted[-2:], 8)


def test_sizes_that_a_codec_lacks_are_refused_with_the_remedy(capsys: Capsys) -> None:
    for codec, size, takes, remedy in (
        ("prores", (63, 48), "even sizes, not 63x48", "prores4444"),
        ("dnxhr", (256, 118), "256x120 and more, not 256x118", "prores"),
    ):
        write_frames(Path("in.mkv"), [scene(*size, seed=1)] * 2, "ffv1", "bgr0")
        told = refuse(capsys, 2, "stylize", "in.mkv", *IDENTITY, "--codec", codec)
        assert f"it takes {takes}" in told
        assert remedy in told


@pytest.mark.parametrize("codec", ["prores4444", "png"])
def test_a_ramp_of_10_bits_comes_out_as_fine(codec: str, capsys: Capsys) -> None:
    codes = np.broadcast_to(np.linspace(64, 940, 1024).round().astype(np.uint16), (128, 1024))
    write_grey(Path("in.mov"), codes, "prores_ks", "yuv422p10le", options={"profile": "hq", "qscale": "1"})
    made = Path("out.png" if codec == "png" else f"out.{CODECS[codec].containers[0]}")
    said(capsys, 0, "stylize", "in.mov", *IDENTITY, "--codec", codec, "-o", made, "--end", "1")
    with closing(av.open(str(made))) as container:
        frame = next(container.decode(video=0))
    if codec == "png":
        line = frame.to_ndarray(format="rgb48le")[64, :, 1].astype(float) / 65535
    else:
        bits = 12 if frame.format.name.endswith("12le") else 10
        plane = np.frombuffer(frame.planes[0], "<u2").reshape(frame.planes[0].height, -1)[64, :1024]
        line = (plane.astype(float) / 2 ** (bits - 10) - 64) / 876
    assert len(np.unique(line)) > 600
    assert np.abs(line - (codes[64] - 64) / 876).max() <= 0.004
    assert abs((line - (codes[64] - 64) / 876).mean()) < 5e-4


@pytest.mark.parametrize(
    ("fps", "count", "ending"), [("12.5", 10, "mp4"), pytest.param("29.97", 24, "mkv", marks=pytest.mark.thorough)]
)
def test_a_constant_rate_has_its_steps_length_and_sound(fps: str, count: int, ending: str, capsys: Capsys) -> None:
    frames = numbered(moving_frames(20))
    silent = write_clip(Path("silent.mp4"), frames, rate=25, time_base=Fraction(1, 12_800), options=FAST)
    source = with_sound(silent, Path("in.mp4"), "aac", seconds=0.8)
    made = Path(f"out.{ending}")
    table = said_json(capsys, "stylize", source, *IDENTITY, "--fps", fps, "-o", made)
    rate = Fraction(30_000, 1001) if fps == "29.97" else Fraction(fps)  # as broadcast means it
    assert table["frames"] == count
    check_times(made, [i / rate for i in range(count)])
    check_sound(made, source)
    for moment, picture in zip(times(made), decode(made)[2], strict=True):
        # It has begun or begins within half a step, and has not ended.
        assert -1 - Fraction(1, 20) < number_in(picture) - 25 * moment <= 25 / rate / 2 + Fraction(1, 20)
    with closing(av.open(str(made))) as container:
        stream = container.streams.video[0]
        assert abs(stream.average_rate - rate) < Fraction(1, 20)
        length = stream.duration * stream.time_base if stream.duration else Fraction(container.duration, av.time_base)
    assert abs(length - Fraction(4, 5)) <= 1 / rate + Fraction(1, 20)


@pytest.mark.parametrize(("source", "ending", "late_s"), [("mp4", "mkv", -0.2), ("mkv", "mov", 0.0415)])
def test_the_start_of_sound_is_kept_to_a_millisecond(source: str, ending: str, late_s: float, capsys: Capsys) -> None:
    """``late_s``: how much later the sound begins, or (below 0) the pictures."""
    begin = round(max(0.0, -late_s) * 12_800)
    at: dict[str, Any] = {"pts": [begin + 512 * i for i in range(12)], "time_base": Fraction(1, 12_800), "rate": 25}
    silent = write_clip(Path(f"silent.{source}"), moving_frames(12), options=FAST, **at)
    path = with_sound(silent, Path(f"in.{source}"), "aac", late_s=max(0.0, late_s))
    was = sound_packets(path)[0][0] - times(path)[0]
    for name, more in ((f"out.{ending}", ()), (f"grid.{ending}", ("--fps", "30"))):
        said(capsys, 0, "stylize", path, *IDENTITY, "-o", name, *more)
        now = sound_packets(Path(name))[0][0] - times(Path(name))[0]
        assert abs(now - was) <= Fraction(1, 1000)
        assert [b for _, b in sound_packets(Path(name))] == [b for _, b in sound_packets(path)]


def tracks_of(path: Path) -> dict[str, Any]:
    """By plain PyAV: languages and packets of each sound track, words with their times, chapters, timecode, title."""
    with closing(av.open(str(path))) as container:
        tags = container.metadata
        everything = [tags, *(s.metadata for s in container.streams)]
        found: dict[str, Any] = {
            "languages": [s.metadata.get("language") for s in container.streams.audio],
            "chapters": [
                (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]), c["metadata"]["title"])
                for c in container.chapters()
            ],
            "timecode": {t[k] for t in everything for k in ("timecode", "TIMECODE") if k in t},
            "title": tags.get("title"),
            "sounds": {s.index: [] for s in container.streams.audio},
            "words": [],
        }
        for packet in container.demux(*container.streams.audio, *container.streams.subtitles):
            if packet.pts is None:
                continue
            at = float(packet.pts * packet.time_base)
            if packet.stream.type == "audio":
                found["sounds"][packet.stream_index].append((at, bytes(packet)))
            elif text := bytes(packet).lstrip(b"\0\3\5").decode():
                found["words"].append((at, at + float(packet.duration * packet.time_base), text))
        found["sounds"] = list(found["sounds"].values())
    return found


FILMS = [("mov", "mp4"), pytest.param("mp4", "mov", marks=pytest.mark.thorough), ("mkv", "mkv")]


def alike(a: list[tuple[float, float, str]], b: list[tuple[float, float, str]], within: float = 0.002) -> bool:
    return len(a) == len(b) and all(
        x[2] == y[2] and abs(x[0] - y[0]) <= within and abs(x[1] - y[1]) <= within for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize(("source", "ending"), FILMS)
def test_sound_words_chapters_timecode_and_title_go_along(source: str, ending: str, capsys: Capsys) -> None:
    path = write_film(Path(f"film.{source}"))
    was = tracks_of(path)
    said(capsys, 0, "stylize", path, *IDENTITY, "-o", f"out.{ending}")
    now = tracks_of(Path(f"out.{ending}"))
    assert now["languages"] == list(LANGUAGES)
    assert [[b for _, b in track] for track in now["sounds"]] == [[b for _, b in track] for track in was["sounds"]]
    assert now["sounds"][0] != now["sounds"][1]
    assert alike(now["words"], [(a / 1000, b / 1000, text) for a, b, text in WORDS])
    assert alike(now["chapters"], [(i / 2, i / 2 + 0.5, f"part {i}") for i in range(4)])
    assert now["timecode"] == {"10:00:00:05"}
    assert now["title"] == "A film"

    # A part: from frame 12 (0.5 s) to frame 44 (1.833 s), of 24 a second.
    part = Path(f"part.{ending}")
    said(capsys, 0, "stylize", path, *IDENTITY, "--start", "0.5s", "--end", "1.83s", "-o", part)
    now, end = tracks_of(part), 44 / 24
    shown = times(part)
    assert len(shown) == 32
    begin = float(shown[0])
    for track, before in zip(now["sounds"], was["sounds"], strict=True):
        kept = [(t, b) for t, b in before if t + 1024 / 44_100 > 0.5 and t < end]
        assert [b for _, b in track] == [b for _, b in kept]
        assert all(abs((a - begin) - (t - 0.5)) <= 0.0011 for (a, _), (t, _) in zip(track, kept, strict=True))
    moved = [(max(0.0, a / 1000 - 0.5), b / 1000 - 0.5, text) for a, b, text in WORDS]
    assert [(w[2], round(w[0] - begin, 2)) for w in now["words"]] == [(w[2], round(w[0], 2)) for w in moved]
    assert alike([(a - begin, b - begin, t) for a, b, t in now["words"][:2]], moved[:2])
    chapters = [(0.0, 0.5, "part 1"), (0.5, 1.0, "part 2"), (1.0, end - 0.5, "part 3")]
    assert alike([(a - begin, b - begin, t) for a, b, t in now["chapters"]], chapters)
    # Else the film would end in a still of its last picture.
    assert now["words"][-1][1] <= float(shown[-1]) + 1 / 24 + 0.002 or ending == "mkv"
    assert now["timecode"] == {"10:00:00:17"}
    assert now["languages"] == list(LANGUAGES)


def test_a_timecode_keeps_its_moment_whatever_the_rate(capsys: Capsys) -> None:
    """Frame 20 of 24 is the tenth of 12. A clock of 24 may go along with 48 pictures a second, but not with 12."""
    path = write_film(Path("film.mov"), "10:00:00:20")
    was, _ = timecode_track(path)
    assert was == 36_000 + Fraction(20, 24)
    for number, fps in enumerate(("source", "12", "48", "30000/1001")):
        made = Path(f"{number}.{'mp4' if fps == '30000/1001' else 'mov'}")
        said(capsys, 0, "stylize", path, *IDENTITY, "-o", made, "--fps", fps)
        now, counted = timecode_track(made)
        assert abs(now - was) <= (1 / counted if fps != "30000/1001" else 37)  # without drop-frame: no time of day
        assert fps == "source" or Fraction(fps) % counted == 0


def test_words_that_a_container_cannot_hold_are_named(capsys: Capsys) -> None:
    told = said(capsys, 0, "stylize", write_film(Path("film.mov")), *IDENTITY, "-o", "out.mkv")
    assert "a subtitle track (mov_text) is left out, matroska cannot hold it" in told
    now = tracks_of(Path("out.mkv"))
    assert (now["words"], now["languages"], len(now["chapters"])) == ([], list(LANGUAGES), 4)


def test_sound_that_a_container_cannot_hold_is_refused_at_once(sources: dict[str, Path], capsys: Capsys) -> None:
    command = ("stylize", sources["aac"], *IDENTITY, "-o", "out.webm")
    told = refuse(capsys, 2, *command)
    assert "its sound (aac) cannot be kept in webm" in told
    assert ".mkv" in told
    assert said_json(capsys, *command, "--set", "encoding.sound=none", "--end", "3")["codec"] == "av1"
    assert sound_packets(Path("out.webm")) == []
    assert Path("out.webm").read_bytes()[:64].count(b"webm") == 1


def test_the_same_film_is_joined_again_for_another_container(sources: dict[str, Path], capsys: Capsys) -> None:
    arguments = ("stylize", sources["aac"], *IDENTITY, "--codec", "h264", "-o")
    assert said_json(capsys, *arguments, "a.mp4")["frames_encoded"] == COUNT
    assert said_json(capsys, *arguments, "a.mkv")["frames_encoded"] == 0
    assert all(np.array_equal(a, b) for a, b in zip(decode(Path("a.mp4"))[2], decode(Path("a.mkv"))[2], strict=True))
