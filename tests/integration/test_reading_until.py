"""A render with an end reads its clip only a little further, and comes out as if it had read all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from chain import said, said_json
from clips import decode, moving_frames, write_clip
from directed_clip import lossless

import vidtrans as api
from vidtrans.clips.indexing import MARGIN_FRAMES, Clip, open_clip
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.events import Event, Note, Progress
from vidtrans.core.settings import Time, parse_time
from vidtrans.session import Context
from vidtrans.stylizing.requested_render import RequestedRender
from vidtrans.video.images.picture import write_picture

COUNT = 150


def read_by(
    call: Callable[..., Any], *arguments: Any, events: list[Event] | None = None, **options: Any
) -> tuple[Any, int]:
    """Return a command's result and the number of frames that it read for the index; add its events to ``events``."""
    most = [0]

    def hear(event: Event) -> None:
        if events is not None:
            events.append(event)
        if isinstance(event, Progress) and event.task.startswith("reading"):
            most.append(event.done)

    return call(*arguments, report=hear, **options), max(most)


def check_same_beginning(path: Path, end: str) -> Clip:
    """Assert that what is known of a clip up to an end is what is known of it as a whole; what was read."""
    until = parse_time(end)
    whole, part = open_clip(Context(), path), open_clip(Context(), path, until=until)
    _, stop = whole.trim(None, until)
    assert part.trim(None, until) == (0, stop)
    count = part.index.num_frames
    assert part.index.pts == whole.index.pts[:count]
    assert part.digest == whole.digest
    assert part.index.num_frames_from_header in (0, whole.index.num_frames_from_header)
    of_length = {"pts": (), "last_duration": 0, "num_frames_from_header": 0}
    assert replace(part.index, **of_length) == replace(whole.index, **of_length)
    for name in ("looks", "sharpness"):
        assert getattr(part.survey, name)[:stop] == getattr(whole.survey, name)[:stop]
    for name in ("shots", "held"):
        assert [n for n in getattr(part.survey, name) if n < stop] == [
            n for n in getattr(whole.survey, name) if n < stop
        ]
    return part


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 frames in four shots, one of one frame, with B-frames and sound."""
    frames = moving_frames(COUNT, shots=(0, 20, 21, 60))
    frames[90:100] = [frames[90]] * 10
    return write_clip(tmp_path_factory.mktemp("long") / "long.mp4", frames, sound=True)


@pytest.mark.parametrize("end", ["0.5s", "21", "200"])
def test_what_is_known_of_the_beginning_is_the_same(long_clip: Path, end: str) -> None:
    part = check_same_beginning(long_clip, end)
    _, stop = part.trim(None, parse_time(end))
    assert part.index.num_frames == min(COUNT, stop + MARGIN_FRAMES + 1)


@pytest.mark.parametrize(
    ("suffix", "codec", "rate", "options"),
    [
        (".avi", "mpeg4", 30, {"qscale": "2"}),
        (".h264", "libx264", 15360, None),
    ],
)
def test_in_every_container(tmp_path: Path, suffix: str, codec: str, rate: int, options: dict[str, str] | None) -> None:
    path, base = tmp_path / f"a{suffix}", Fraction(1, rate)
    write_clip(path, moving_frames(90, shots=(0, 30)), codec=codec, time_base=base, options=options)
    count = check_same_beginning(path, "30").index.num_frames
    assert (count == 90) == (suffix == ".h264")  # a stream without times is read to its end


def test_a_render_reads_no_further_and_is_the_same(
    long_clip: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    table, count = read_by(api.stylize, long_clip, tiny_model, "part.mp4", events=events, end="0.33s", size="32")
    assert [event.text for event in events if isinstance(event, Note)] == []
    assert (table["frames"], count) == (10, 10 + MARGIN_FRAMES + 1)
    with monkeypatch.context() as patch:
        patch.setattr(RequestedRender, "_reads_beyond_end", True)
        whole, count = read_by(api.stylize, long_clip, tiny_model, "whole.mp4", end="0.33s", size="32")
    assert count == COUNT
    assert Path("part.mp4").read_bytes() == Path("whole.mp4").read_bytes()
    assert (whole["frames_inferred"], whole["frames_encoded"]) == (0, 0)  # found in the cache by the same keys


@pytest.mark.parametrize("options", [{"strength": "0: 0.2, 140: 1"}, {"cuts": "cuts.txt"}])
def test_what_looks_beyond_the_end_reads_all(long_clip: Path, options: dict[str, Any]) -> None:
    Path("cuts.txt").write_text("0\n20\n140\n")
    _, count = read_by(api.stylize, long_clip, "identity", "a.mp4", **{"end": "30"} | options)
    assert count == COUNT


def test_a_start_behind_the_end_is_refused_by_what_is_known_of_the_whole_clip(long_clip: Path) -> None:
    for start, end in (("40", "1s"), (None, "0")):
        with pytest.raises(UsageError, match=rf"\({COUNT} frames, 5\.000 s\)"):
            api.stylize(long_clip, "identity", "a.mp4", start=start, end=end)


def damaged(path: Path, at: float) -> Path:
    """Overwrite a part of a file with zeros."""
    data = bytearray(path.read_bytes())
    start = int(len(data) * at)
    data[start : start + 4000] = bytes(4000)
    path.write_bytes(data)
    return path


def test_parts_and_corrections_of_a_render_read_as_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a clip with damage behind the end, which nothing but a reading of all would see."""
    path = damaged(lossless(tmp_path / "a.mkv", moving_frames(COUNT)), 0.75)
    request = ("stylize", path, "--model", "identity", "--end", "30", "--set=rendering.chunk_frames=10", "--codec=ffv1")
    said(capsys, 0, *request, "-o", "whole.mkv")
    joined = (*request, "-o", "joined.mkv", "--cache-dir", "other")
    for part in ("--chunk=1/2", "--chunk=2/2", "--join"):
        said(capsys, 0, *joined, part)
    assert Path("joined.mkv").read_bytes() == Path("whole.mkv").read_bytes()
    write_picture(Path("fixes/000005.png"), 255 - decode(Path("whole.mkv"))[2][5])
    assert said_json(capsys, "fix", "whole.mkv", "--painted", "fixes", "-o", "fixed.mkv")["frames"] == 30


def test_damage_matters_only_where_it_is_read(tmp_path: Path) -> None:
    path = damaged(lossless(tmp_path / "a.mkv", moving_frames(COUNT)), 0.75)
    with pytest.raises(MediaError, match="damaged"):
        open_clip(Context(), path)
    assert open_clip(Context(), path, until=Time(frame=9)).index.num_frames == 9 + MARGIN_FRAMES + 1
    damaged(path, 0.1)
    told = []
    for until in (None, Time(frame=30)):
        with pytest.raises(MediaError) as caught:
            open_clip(Context(), path, until=until)
        told.append(str(caught.value))
    assert told[0] == told[1]
