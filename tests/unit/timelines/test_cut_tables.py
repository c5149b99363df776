"""Cuts from PySceneDetect and from EDLs."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from clips import moving_frames, write_clip
from made_timelines import Maker

from vidtrans.clips.cut_list import edit_starts, scene_starts, with_cuts
from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.core.errors import UsageError
from vidtrans.session import Context

HEAD = "Scene Number,Start Frame,Start Timecode,Start Time (seconds),End Frame,End Timecode,End Time (seconds)"
SCENES = [HEAD, "1,1,00:00:00.000,0.000,5,00:00:00.200,0.200", "2,6,00:00:00.200,0.200,12,00:00:00.480,0.480"]
CUTS = "Timecode List:,00:00:00.200"
EDL = """\
* CREATED WITH PYSCENEDETECT 0.7.2
TITLE: cuts
FCM: NON-DROP FRAME

001  AX V     C        00:00:00:00 00:00:00:05 01:00:00:00 01:00:00:05
002  AX V     C        00:00:00:05 00:00:00:12 01:00:00:05 01:00:00:12
"""


@pytest.mark.parametrize(
    "lines", [SCENES, [CUTS, *SCENES], [*SCENES, ""], [line.replace(",", "\t") for line in SCENES]]
)
def test_scenes_begin_at_their_frames(lines: list[str]) -> None:
    assert scene_starts("\n".join(lines), "x.csv") == [0, 5]


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "x", "", "²", "9" * 12])
def test_a_scene_without_a_frame_number_is_named_with_its_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"x\.csv, line 3: .* is not the number of a frame from 1"):
        scene_starts("\n".join([*SCENES[:2], f"2,{text},00:00:00.200"]), "x.csv")


@pytest.mark.parametrize(
    ("records", "starts"),
    [
        (["23:59:59:12 00:00:00:12", "00:00:00:12 00:00:01:00"], [0, 25]),
        (["23:59:58:00 00:00:00:00", "00:00:00:00 00:00:01:00"], [0, 50]),  # the cut is at midnight
        (["00:00:02:00 00:00:03:00", "23:59:58:00 23:59:59:00"], [0, 100]),  # in order of their sources, with a gap
        (["00:00:00:00 00:00:01:00", "00:00:01:00 10:00:00:00", "10:00:00:00 23:00:00:00"], [0, 25, 900_000]),
        (["01:00:00:00 01:00:01:00", "00:59:58:00 01:00:00:00"], [0, 50]),
    ],
)
def test_records_go_on_after_midnight(records: list[str], starts: list[int]) -> None:
    lines = [f"00{n}  AX V C 00:00:00:00 00:00:01:00 {one}" for n, one in enumerate(records, 1)]
    assert edit_starts(Path("x.edl"), lines, Fraction(25)) == starts


def test_a_render_takes_the_cuts_of_both(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "a.mp4", moving_frames(12), rate=25)
    clip = open_clip(Context(cache_dir=tmp_path / "cache"), video)
    (tmp_path / "s.csv").write_text("\n".join([CUTS, *SCENES]))
    (tmp_path / "e.edl").write_text(EDL)
    assert [with_cuts(clip, str(tmp_path / name)).shots for name in ("s.csv", "e.edl")] == [(0, 5), (0, 5)]
    (tmp_path / "s.csv").write_text("\n".join([*SCENES, "3,13,00:00:00.480"]))
    with pytest.raises(UsageError, match=r"frame 12 is after the end of a\.mp4"):
        with_cuts(clip, str(tmp_path / "s.csv"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """A clip of 40 frames, 25 a second."""
    folder = tmp_path_factory.mktemp("cuts")
    video = write_clip(folder / "a.mp4", moving_frames(40), rate=25)
    return open_clip(Context(cache_dir=folder / "cache"), video)


def _layers(m: Maker) -> list[Any]:
    """Return two tracks: below cuts at 10, 20, 30, above a clip at 18 to 24 and a title."""
    lower = m.track(*(m.clip("plain.mkv", start, 10) for start in (0, 30, 5, 40)))
    title = m.schema.Clip("title", m.schema.GeneratorReference("title", "Text"), m.span(0, 6))
    return [lower, m.track(m.gap(18), m.clip("other.mkv", 0, 6), m.gap(2), title, name="V2")]


def _graded(track: Any, m: Maker) -> Any:
    track.effects.append(m.schema.Effect("grade", "Grade"))
    return track


TRACKS: dict[str, tuple[Callable[[Maker], list[Any]], tuple[int, ...]]] = {
    "gaps": (lambda m: [m.track(m.gap(7), m.clip("plain.mkv", 20, 10), m.gap(3))], (0, 7, 17)),
    "dissolve": (lambda m: [m.track(m.clip("plain.mkv", 5, 10), m.dissolve(4, 6), m.clip("a.mkv", 20, 20))], (0, 6)),
    "layers": (_layers, (0, 10, 18, 24, 30)),
    "nested": (
        lambda m: [
            m.track(
                m.clip("plain.mkv", 2, 5),
                m.stack(m.track(m.clip("other.mkv", 4, 20), m.clip("plain.mkv", 0, 9)), source_range=m.span(15, 10)),
            )
        ],
        (0, 5, 10),
    ),
    "another rate": (lambda m: [m.track(*(m.clip("film24.mkv", 0, 12, 24) for _ in range(3)))], (0, 13, 25)),
    "a dissolve behind a gap": (
        lambda m: [m.track(m.clip("plain.mkv", 0, 10), m.gap(6), m.dissolve(4, 4), m.clip("other.mkv", 20, 10))],
        (0, 10, 12),
    ),
    "sound with an effect, longer than the picture": (
        lambda m: [
            _graded(m.track(m.clip("plain.mkv", 5, 10), m.clip("other.mkv", 40, 10)), m),
            _graded(m.track(m.clip("plain.mkv", 0, 39.2, 48000 / 1024), kind="Audio"), m),
        ],
        (0, 10),
    ),
    "speed, disabled, sound": (
        lambda m: [
            m.track(m.clip("plain.mkv", 2, 8, effects=[m.warp(2)]), m.clip("plain.mkv", 2, 8, enabled=False)),
            m.track(m.clip("plain.mkv", 0, 3), kind="Audio"),
        ],
        (0, 8),
    ),
}


@pytest.mark.parametrize("name", TRACKS)
def test_the_edits_of_a_timeline_are_cuts(name: str, clip: Clip, tmp_path: Path) -> None:
    maker = Maker(pytest.importorskip("opentimelineio", reason="OpenTimelineIO is not installed"), tmp_path)
    make, shots = TRACKS[name]
    assert with_cuts(clip, str(maker.write(name, *make(maker)))).shots == shots


def test_a_timeline_that_is_not_of_the_clip_is_refused(clip: Clip, tmp_path: Path) -> None:
    maker = Maker(pytest.importorskip("opentimelineio", reason="OpenTimelineIO is not installed"), tmp_path)
    long = maker.write("long", maker.track(maker.clip("plain.mkv", 0, 60), maker.clip("plain.mkv", 0, 3)))
    with pytest.raises(UsageError, match=r"frame 60 is after the end of a\.mp4"):
        with_cuts(clip, str(long))
    sound = maker.write("sound", maker.track(maker.clip("plain.mkv", 0, 9), kind="Audio"))
    with pytest.raises(UsageError, match="it shows no pictures"):
        with_cuts(clip, str(sound))
    (bad := tmp_path / "bad.otio").write_text("{")
    with pytest.raises(UsageError, match=r"bad\.otio.*it is not valid JSON"):
        with_cuts(clip, str(bad))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_edls_of_other_encodings_are_read(encoding: str, clip: Clip, tmp_path: Path) -> None:
    (path := tmp_path / "e.edl").write_bytes(f"{EDL}* FROM CLIP NAME: caf\u00e9\n".encode(encoding))
    assert with_cuts(clip, str(path)).shots == (0, 5)
