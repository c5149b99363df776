"""Every event of a relinked EDL shows the same frames at the same times, and the other lines stay."""

from __future__ import annotations

import re
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from clips import pictures_of, write_folder
from numbered_media import number_of, picture, write_numbered
from timeline_samples import edl_samples

import vidtrans as api
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.timelines.edl_timeline import EdlTimeline
from vidtrans.timelines.media_search import MediaSearch
from vidtrans.timelines.opening import open_timeline
from vidtrans.timelines.spans import MediaFacts
from vidtrans.timelines.timeline import Relink, StyledMedia

HEAD = "TITLE: CUT\nFCM: NON-DROP FRAME\n\n"
EDLS = {
    "cuts": """\
001  AX       V     C        00:00:00:05 00:00:00:15 01:00:00:00 01:00:00:10
* FROM CLIP NAME: plain.mkv
002  AX       V     C        00:00:01:10 00:00:01:20 01:00:00:10 01:00:00:20
* FROM CLIP NAME: other.mkv
* a remark: kept
""",
    "timecode": """\
001  CODED    V     C        01:00:00:05 01:00:00:15 01:00:00:00 01:00:00:10
* FROM CLIP NAME: coded.mov
002  CODED    B     C        01:00:01:05 01:00:01:15 01:00:00:10 01:00:00:20
* FROM CLIP NAME: coded.mov
""",
    "dissolve of two lines": """\
001  AX       V     C        00:00:00:05 00:00:00:15 01:00:00:00 01:00:00:10
* FROM CLIP NAME: plain.mkv
002  AX       V     C        00:00:00:15 00:00:00:15 01:00:00:10 01:00:00:10
002  AX       V     D    008 00:00:01:00 00:00:02:00 01:00:00:10 01:00:01:10
* FROM CLIP NAME: plain.mkv
* TO CLIP NAME: other.mkv
""",
    "speed": """\
001  AX       V     C        00:00:00:05 00:00:01:00 01:00:00:00 01:00:00:10
M2   AX       050.0                00:00:00:05
* FROM CLIP NAME: plain.mkv
002  CODED    V     C        01:00:01:05 01:00:01:10 01:00:00:10 01:00:00:20
M2   CODED    012.5                01:00:01:05
* FROM CLIP NAME: coded.mov
""",
    "midnight": """\
001  NIGHT    V     C        00:00:00:05 00:00:00:15 23:59:59:20 00:00:00:05
* FROM CLIP NAME: night.mov
002  NIGHT    V     C        23:59:59:15 00:00:00:03 00:00:00:05 00:00:00:18
* FROM CLIP NAME: night.mov
003  NIGHT    V     C        24:00:00:20 24:00:01:05 00:00:00:18 00:00:01:03
* FROM CLIP NAME: night.mov
""",
    "reversed across midnight": """\
001  NIGHT    V     C        00:00:00:05 00:00:00:15 01:00:00:00 01:00:00:10
M2   NIGHT    -025.0                00:00:00:05
* FROM CLIP NAME: night.mov
""",
}


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize("name", EDLS)
def test_each_event_shows_the_frames_that_it_showed(name: str, media: Path, tmp_path: Path) -> None:
    path = media / f"{name}.edl"
    path.write_text(HEAD + EDLS[name])
    before = edl_samples(path, media, 25)
    assert sum(isinstance(one, int) for one in before.values()) >= 10
    api.stylize(path, model="identity", output=str(tmp_path / "out.edl"), handles=2, rate="25")
    assert edl_samples(tmp_path / "out.edl", tmp_path, 25) == before
    old, new = (p.read_text().splitlines() for p in (path, tmp_path / "out.edl"))
    assert new[:3] == old[:3]
    assert _but_sources(new) == _but_sources(old)
    assert all(line in new for line in old if "remark" in line)
    events = [[line for line in lines if line[0:1] == "0"] for lines in (old, new)]
    assert name != "timecode" or events[0] == events[1]


def _but_sources(lines: list[str]) -> list[str]:
    """Return the lines of events without the timecodes of their sources."""
    return [re.sub(r"( \S{11}){2}( \S{11} \S{11})$", r"\2", line) for line in lines if line[0:1] == "0"]


@pytest.mark.usefixtures("copied")
def test_a_drop_frame_day_ends_where_its_numbers_do(media: Path, tmp_path: Path) -> None:
    path, rate = media / "late.edl", float(Fraction(30000, 1001))
    times = ("00:00:00;05 00:00:00;15 23:59:59;28 00:00:00;08", "23:59:59;20 00:00:00;02 00:00:00;08 00:00:00;20")
    events = [f"00{n} AX V C {one}\n* FROM CLIP NAME: night drop.mov\n" for n, one in enumerate(times)]
    path.write_text("FCM: DROP FRAME\n" + "".join(events))
    before = edl_samples(path, media, rate)
    assert list(before.values()) == [*range(1125, 1135), *range(1110, 1122)]
    api.stylize(path, model="identity", output=str(tmp_path / "out.edl"), handles=2)
    assert edl_samples(tmp_path / "out.edl", tmp_path, rate) == before


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize(
    ("timecode", "source", "frames", "is_named"),
    [
        ("23:59:58:00", "00:00:01:00 00:00:02:00", "75-99", False),
        ("00:00:00:20", "00:00:00:10 00:00:01:20", "0-24", False),  # it begins before its media
        ("23:59:58:00", "00:00:07:00 00:00:07:05", "175-179", True),  # it ends a second before this
        ("10:00:00:00", "00:00:01:00 00:00:02:00", "25-49", True),
    ],
)
def test_times_outside_of_the_timecode_of_media_are_named(
    timecode: str, source: str, frames: str, is_named: bool, tmp_path: Path
) -> None:
    write_numbered(tmp_path / "a.mov", range(180), 25, timecode)
    path = tmp_path / "a.edl"
    path.write_text(f"001 AX V C {source} 01:00:00:00 01:00:01:00\n* FROM CLIP NAME: a.mov\n")
    events: list[Any] = []
    more: Any = {"handles": 0, "dry_run": True, "report": events.append}
    [item] = api.stylize(path, model="identity", output=str(tmp_path / "new"), **more)["items"]
    assert f".{frames}." in item["output"]
    warning = f"a.mov lies outside of a.mov, which begins at the timecode {timecode}"
    assert any(warning in getattr(event, "text", "") for event in events) == is_named


def test_the_rate_of_a_drop_frame_edl_is_that_of_its_media(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(media / "plain.mkv", tmp_path / "drop60.mov")
    facts = MediaFacts(tmp_path / "drop60.mov", Fraction(60000, 1001), 9000)
    monkeypatch.setattr("vidtrans.timelines.opening.read_facts", lambda path, clip: facts)
    event = "001  AX V C 00:01:00;44 00:01:02;00 01:00:00;00 01:00:01;16\n* FROM CLIP NAME: drop60.mov\n"
    (path := tmp_path / "drop.edl").write_text(f"FCM: DROP FRAME\n{event}")
    [clip] = open_timeline(path, None, MediaSearch(path, [])).clips
    assert (clip.rate, clip.begin) == (facts.rate, 3640)


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize("padding", [4, 5], ids=["nuke", "blender"])
def test_numbered_pictures_may_begin_below_zero(padding: int, tmp_path: Path) -> None:
    names = [f"shot.{n:0{padding if n < 0 else 4}}.png" for n in range(-4, 5)]
    write_folder(tmp_path / "shots", [picture(n) for n in range(9)], names)
    times = "00:00:00:00 00:00:00:04 01:00:00:00 01:00:00:04"
    (path := tmp_path / "cut.edl").write_text(f"001  AX  V  C  {times}\n* FROM CLIP: shots/shot.[-003-0002].png\n")
    api.stylize(path, model="identity", output=str(tmp_path / "made" / "cut.edl"), handles=0, rate="25")
    made = pictures_of(next((tmp_path / "made").glob("shot*")))
    assert {name: number_of(one) for name, one in made.items()} == {names[n]: n for n in range(1, 5)}
    assert f"shot.[{names[1].split('.')[1]}-0000].png" in (tmp_path / "made" / "cut.edl").read_text()


def test_names_that_the_encoding_of_an_edl_lacks_are_kept() -> None:
    line = "001  AX V C 00:00:00:00 00:00:01:00 01:00:00:00 01:00:01:00\n* FROM CLIP NAME: caf\u00e9.mp4\n"
    names = "caf\u00e9.mp4", "\u6620\u753b.mp4"
    media = {name: StyledMedia(Path("/films") / name, 0, 25, Fraction(25)) for name in names}
    for name, wanted in zip(names, ("cp1252", "utf-8"), strict=True):
        edl = EdlTimeline(Path("x.edl"), line.encode("cp1252"), Fraction(25))
        link = Relink(media[name], Fraction(0), Fraction(0), Fraction(25))
        content, notes = edl.relinked({1: link}, Path("out.edl"))
        assert f"SOURCE FILE: {media[name].path.resolve().as_posix()}" in content.decode(wanted)
        assert len(notes) == (wanted == "utf-8")


def test_media_of_several_rates_need_the_rate_of_the_timeline(media: Path, tmp_path: Path) -> None:
    path = media / "mixed.edl"
    event = "00{} AX V C 00:00:00:00 00:00:01:00 01:00:0{}:00 01:00:0{}:00\n* FROM CLIP NAME: {}\n"
    path.write_text(event.format(1, 0, 1, "plain.mkv") + event.format(2, 1, 2, "film24.mkv"))
    with pytest.raises(UsageError, match=r"its clips have 24 and 25 frames a second — .*--rate 25"):
        api.stylize(path, model="identity", output=str(tmp_path), dry_run=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("TITLE: x\n", "it has no events"),
        ("001 AX V C 00:00:00:00 00:00:01:00 01:00:00:00\n", "line 1: .* is not an event of a CMX 3600 EDL"),
        ("001 AX V C 00:00:01:00 00:00:00:00 01:00:00:00 01:00:01:00\n", "ends before it begins"),
        ("001 AX V C 00:00:00:00 00:00:01:25 01:00:00:00 01:00:02:00\n", "line 1: there is no .*01:25' at 25 .*--rate"),
        ("001 AX V C 00:00:00:00 00:00:01:00 01:00:00:00 01:00:01:00\n* FROM CLIP NAME: no.mov\n", "is missing: no"),
        ("001 AX A C 00:00:00:00 00:00:01:00 01:00:00:00 01:00:01:00\n* FROM CLIP NAME: plain.mkv\n", "only sound"),
        ("001 AX V C 00:01:00:00 00:01:01:00 01:00:00:00 01:00:01:00\n* FROM CLIP NAME: plain.mkv\n", "has 60 frames"),
    ],
)
def test_an_edl_without_sense_is_refused_in_a_line(text: str, message: str, media: Path, tmp_path: Path) -> None:
    path = media / "bad.edl"
    path.write_text(text)
    with pytest.raises((UsageError, MediaError), match=message):
        api.stylize(path, model="identity", output=str(tmp_path / "new"), rate="25")
    assert not (tmp_path / "new").exists()
