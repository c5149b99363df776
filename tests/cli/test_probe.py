"""``vidtrans probe``: what it tells of each unusual clip, and that it tells of nothing else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from chain import refuse, said, said_json, snapshot
from clips import decode, moving_frames, scene, write_clip, write_folder
from oddities import (
    FAST,
    LANGUAGES,
    boxed,
    clean_aperture,
    cut_outs,
    dolby_vision,
    hdr_clip,
    index_first,
    packets_before,
    remux,
    rotted,
    stereo,
    turned,
    two_tracks,
    with_captions,
    with_sound,
    woven,
    write_film,
    write_frames,
    write_woven,
)

Capsys = pytest.CaptureFixture[str]

BT709 = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}


def plain(path: Path, frames: list[np.ndarray] | None = None, **more: Any) -> Path:
    """Nothing unusual about it: 25 frames a second, tagged."""
    options = more.pop("options", FAST)
    return write_frames(path, frames or moving_frames(10), "libx264", "yuv420p", options=options, tags=BT709 | more)


def tagged(path: Path) -> Path:
    """The same packets, in a file that says that its colours are BT.709."""
    data = path.read_bytes()
    assert b"avcC" in data
    with closing(av.open(str(path))) as read, closing(av.open(str(path.with_stem("tagged")), "w")) as out:
        track: Any = out.add_stream_from_template(read.streams.video[0], opaque=True)
        for name, value in BT709.items():
            setattr(track.codec_context, name, value)
        for packet in read.demux(video=0):
            if packet.dts is not None:
                packet.stream = track
                out.mux(packet)
    return path.with_stem("tagged")


def hidden(count: int) -> Path:
    """An edit list that begins ``count`` frames later."""
    source = plain(Path("b.mp4"), options=FAST | {"bf": "0"})

    def earlier(_: int, packet: av.Packet) -> None:
        packet.pts, packet.dts = (packet.pts or 0) - 512 * count, (packet.dts or 0) - 512 * count

    return remux(source, Path("a.mp4"), change=earlier)


def whole_film() -> Path:
    source = write_clip(Path("b.mp4"), moving_frames(60), sound=True, options=FAST | {"g": "12"})
    return index_first(tagged_with_sound(source), Path("whole.mp4"))


def tagged_with_sound(path: Path) -> Path:
    return with_sound(tagged(path), path.with_stem("sound"), "aac", seconds=2)


def cut_off() -> Path:
    whole = whole_film()
    Path("a.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return Path("a.mp4")


def described(*boxes: bytes) -> Path:
    return boxed(plain(Path("b.mp4")), Path("a.mp4"), *boxes)


def by(make: Callable[[], Path], *told: str) -> tuple[Callable[[], Path], tuple[str, ...]]:
    return make, told


def coloured(primaries: int, transfer: int) -> Path:
    tags = BT709 | {"color_primaries": primaries, "color_trc": transfer}
    return write_frames(Path("a.mkv"), moving_frames(3), "ffv1", "yuv444p", tags=tags)


UNTAGGED = "its colours are not tagged: taken for "
CASES = {
    "plain-mp4": by(lambda: plain(Path("a.mp4"))),
    "turned": by(lambda: turned(plain(Path("a.mp4")), (0, 1, -1, 0)), "stored turned or mirrored"),
    "anamorphic": by(
        lambda: plain(Path("a.mp4"), sample_aspect_ratio=Fraction(16, 11)),
        "its pixels are not square (16/11): shown 93x48",
    ),
    "cropped": by(
        lambda: described(clean_aperture(60, 40)), "its container crops it to 60x40: read so, as players show it"
    ),
    "dolby-vision-5": by(lambda: described(dolby_vision(5, 0)), "Dolby Vision profile 5: without its own conversion"),
    "stereo": by(
        lambda: described(stereo(2)), "stereo 3D, both views in a frame, side by side: kept in .mp4, .mkv, .webm"
    ),
    "captions": by(lambda: with_captions(plain(Path("b.mp4")), Path("a.mp4")), "closed captions within the pictures"),
    "edit-list": by(lambda: hidden(3), "its edit list leaves out 3 frames"),
    "transparent": by(
        lambda: write_frames(Path("a.mkv"), cut_outs(3), "ffv1", "bgra"),
        "has transparency: kept by --codec prores4444, ffv1, png, exr",
    ),
    "odd": by(
        lambda: write_frames(Path("a.mp4"), moving_frames(3, (63, 47)), "libx264", "yuv444p", options=FAST, tags=BT709),
        "odd size: H.264 and H.265 become 4:4:4",
    ),
    "one-frame": by(lambda: plain(Path("a.mp4"), moving_frames(1)), "a single frame: enough to render"),
    "interlaced": by(
        lambda: write_woven(Path("a.mp4"), woven(8), **BT709), "interlaced (8 frames): one progressive frame"
    ),
    "pq": by(lambda: hdr_clip(Path("a.mp4")), "HDR (PQ): mapped to SDR, BT.709", "10 bits a channel"),
    "unknown": by(lambda: coloured(19, 1), "not used: primaries 19, so its colours may be wrong"),
    "raw": by(lambda: plain(Path("a.h264")), "it has no times: its own header says 25 frames/s"),
    "two-tracks": by(lambda: two_tracks(Path("a.mp4"), default=1), "2 video tracks: number 1 is used", UNTAGGED),
    "cut-off": by(cut_off, "damaged: "),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_unusual_is_told_and_nothing_else(name: str, capsys: Capsys) -> None:
    make, told = CASES[name]
    path = make()
    table = said_json(capsys, "probe", path)
    assert len(table["warnings"]) == len(told), table["warnings"]
    for wanted in told:
        assert sum(wanted in line for line in table["warnings"]) == 1, table["warnings"]
    text = said(capsys, 0, "probe", path)
    assert [line.split("note     ")[1] for line in text.splitlines() if "note     " in line] == table["warnings"]
    decoded = 6 if name == "two-tracks" else len(decode(path)[0])
    assert "damaged: " in told or table["frames"] == decoded


def test_a_clip_is_described_as_it_is(clip: Path, capsys: Capsys) -> None:
    """40 frames of 64×48 with sound, of which the second shot begins at frame 25."""
    before = snapshot(Path())
    assert said_json(capsys, "probe", clip, "--dry-run")["frames"] == 40
    assert not Path(".vidtrans").exists()
    table = said_json(capsys, "probe", clip)
    assert said_json(capsys, "probe", clip) == table
    assert snapshot(Path()) == before
    assert (table["frames"], table["width"], table["height"], table["stored_size"]) == (40, 64, 48, [64, 48])
    assert (table["rate"], table["time_base"], table["first_pts_s"]) == ("30", "1/15360", 0.0)
    assert table["seconds"] == pytest.approx(40 / 30, abs=0.001)
    assert table["cuts"] == [25]
    assert table["cuts_s"] == [pytest.approx(25 / 30, abs=0.001)]
    assert (table["codec"], table["pix_fmt"], table["format"].split(",")[0]) == ("h264", "yuv420p", "mov")
    assert [(a["codec"], a["sample_rate_hz"], a["channels"]) for a in table["audio"]] == [("aac", 44_100, 1)]
    assert table["num_frames_from_header"] == 40
    text = said(capsys, 0, "probe", clip)
    assert "40 frames, 1.333 s at 30.000 frames/s" in text
    assert "0.83 s (frame 25)" in text


def test_a_film_is_described_with_all_that_goes_along(capsys: Capsys) -> None:
    table = said_json(capsys, "probe", write_film(Path("film.mov")))
    assert [a["language"] for a in table["audio"]] == list(LANGUAGES)
    assert (table["chapters"], table["subtitles"], table["timecode"]) == (4, ["mov_text"], "10:00:00:05")
    assert abs(table["offset_s"]) < 0.03
    text = said(capsys, 0, "probe", "film.mov")
    assert "also     subtitles (mov_text), 4 chapters, timecode 10:00:00:05" in text
    assert [line.split(", ")[-1] for line in text.splitlines() if "sound    " in line] == list(LANGUAGES)
    path = turned(plain(Path("a.mp4"), sample_aspect_ratio=Fraction(16, 11)), (0, 1, -1, 0))
    table = said_json(capsys, "probe", path)
    assert (table["width"], table["height"], table["stored_size"]) == (48, 64, [64, 48])
    assert (table["sample_aspect_ratio"], table["findings"]["turned"]) == ("11/16", True)


def test_damage_is_counted_and_placed_and_no_error(capsys: Capsys) -> None:
    path = cut_off()
    there, _ = packets_before(Path("whole.mp4"), path.stat().st_size)
    table = said_json(capsys, "probe", path)
    found = table["findings"]
    assert len(there) <= table["frames"] <= len(there) + 1
    assert found["missing"] + found["lost"] >= 60 - len(there) - 1
    assert found["hidden"] == 0
    # What was found is kept, and is an error for who would use the clip.
    assert "--allow-damaged" in refuse(capsys, 3, "stylize", path, "--model", "identity")
    assert said_json(capsys, "probe", path) == table
    path = rotted(Path("whole.mp4"), Path("b.mp4"), 3, flips=20, part=(0.5, 0.7))
    table = said_json(capsys, "probe", path)
    assert table["findings"]["lost"] + table["findings"]["flawed"] > 0
    assert f"from {table['findings']['damaged_at']:.3f} s on" in table["warnings"][0]


@pytest.mark.parametrize("name", ["one.png", "in/%d.png"])
def test_pictures_are_described_too(name: str, capsys: Capsys) -> None:
    write_folder(Path("in"), moving_frames(5))
    write_folder(Path(), [scene(64, 48, 1)], ["one.png"])
    table = said_json(capsys, "probe", name)
    assert (table["frames"], table["width"], table["height"]) == (1 if name == "one.png" else 5, 64, 48)
    assert (table["format"], table["warnings"]) == ("pictures", [])
    assert "pictures" in said(capsys, 0, "probe", name)
