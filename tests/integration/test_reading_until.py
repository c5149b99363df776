"""A render with an end reads its clip only a little further, and comes out as if it had read all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from chain import said, said_json
from clips import decode, moving_frames, write_clip
from directed_clip import lossless

import vidtrans as api
from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.clips.scanning import MARGIN
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


@pytest.mark.parametrize("end", ["0.5s", "20", "21", "22", "59", "61", "95", "3.7s", "200", "1:00"])
def test_what_is_known_of_the_beginning_is_the_same(long_clip: Path, end: str) -> None:
    part = check_same_beginning(long_clip, end)
    _, stop = part.trim(None, parse_time(end))
    assert part.index.num_frames == min(COUNT, stop + MARGIN + 1)


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".ts", ".webm"])
def test_in_every_container(tmp_path: Path, suffix: str) -> None:
    codec = "libvpx-vp9" if suffix == ".webm" else "mpeg4" if suffix == ".avi" else "libx264"
    base = Fraction(1, 30) if suffix == ".avi" else Fraction(1, 15360)
    options = {"crf": "12"} if suffix == ".webm" else {"qscale": "2"} if suffix == ".avi" else None
    path = write_clip(
        tmp_path / f"a{suffix}", moving_frames(90, shots=(0, 30)), codec=codec, time_base=base, options=options
    )
    assert check_same_beginning(path, "1s").index.num_frames < 90


def test_times_at_uneven_distances(tmp_path: Path) -> None:
    steps = np.random.default_rng(0).integers(200, 1500, 120)
    path = write_clip(tmp_path / "a.mp4", moving_frames(120), pts=[int(n) for n in np.cumsum(steps)])
    assert check_same_beginning(path, "2s").index.num_frames < 120


def test_streams_without_times_are_read_to_the_end(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.h264", moving_frames(80))
    assert check_same_beginning(path, "10").index.num_frames == 80


def test_a_render_reads_no_further_and_is_the_one_of_all_that_is_known(
    long_clip: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    table, count = read_by(api.stylize, long_clip, tiny_model, "part.mp4", events=events, end="1s", size="32")
    assert [event.text for event in events if isinstance(event, Note)] == []
    assert (table["frames"], count) == (30, 30 + MARGIN + 1)
    with monkeypatch.context() as patch:
        patch.setattr(RequestedRender, "_looks_beyond_end", True)
        whole, count = read_by(api.stylize, long_clip, tiny_model, "whole.mp4", end="1s", size="32")
    assert count == COUNT
    assert Path("part.mp4").read_bytes() == Path("whole.mp4").read_bytes()
    assert (whole["frames_inferred"], whole["frames_encoded"]) == (0, 0)  # found in the cache by the same keys
    again, count = read_by(api.stylize, long_clip, tiny_model, "again.mp4", end="1s", size="32")
    assert (again["frames_inferred"], count) == (0, 0)


@pytest.mark.parametrize("options", [{"strength": "0: 0.2, 140: 1"}, {"cuts": "cuts.txt"}, {"end": None}])
def test_what_looks_beyond_the_end_reads_all(long_clip: Path, options: dict[str, Any]) -> None:
    Path("cuts.txt").write_text("0\n20\n140\n")
    _, count = read_by(api.stylize, long_clip, "identity", "a.mp4", **{"end": "30"} | options)
    assert count == COUNT


def test_a_start_behind_the_end_is_refused_by_what_is_known_of_the_whole_clip(long_clip: Path) -> None:
    for start, end in (("40", "1s"), ("2s", "1s"), ("30", "30"), (None, "0"), (None, "0s"), ("1.001s", "1.002s")):
        with pytest.raises(UsageError, match=rf"\({COUNT} frames, 5\.000 s\)"):
            api.stylize(long_clip, "identity", "a.mp4", start=start, end=end)


def test_where_a_later_frame_may_be_transparent_all_are_read(tmp_path: Path) -> None:
    pictures = [np.dstack([frame, np.full((48, 64), 255, np.uint8)]) for frame in moving_frames(90)]
    pictures[80][:20, :, 3] = 0
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream: Any = container.add_stream("png", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgba"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgba")))
        container.mux(stream.encode(None))
    part = check_same_beginning(tmp_path / "a.mov", "1s")
    assert (part.index.num_frames, part.index.findings.alpha) == (90, True)


def test_parts_and_corrections_of_a_render_read_as_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a clip with damage behind the end, which nothing but a reading of all would see."""
    path = lossless(tmp_path / "a.mkv", moving_frames(COUNT))
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4 : len(data) * 3 // 4 + 4000] = bytes(4000)
    path.write_bytes(data)
    request = ("stylize", path, "--model", "identity", "--end", "30", "--set=rendering.chunk_frames=10")
    said(capsys, 0, *request, "-o", "whole.mkv", "--codec", "ffv1")
    for part in (1, 2):
        said(capsys, 0, *request, "-o", "joined.mkv", "--codec", "ffv1", "--chunk", f"{part}/2", "--cache-dir", "other")
    joined = said_json(capsys, *request, "-o", "joined.mkv", "--codec", "ffv1", "--join", "--cache-dir", "other")
    assert (joined["frames"], joined["frames_encoded"]) == (30, 0)
    assert Path("joined.mkv").read_bytes() == Path("whole.mkv").read_bytes()
    frame = decode(Path("whole.mkv"))[2][5].copy()
    frame[10:20, 10:20] = 255
    write_picture(Path("fixes/000005.png"), frame)
    assert said_json(capsys, "fix", "whole.mkv", "--painted", "fixes", "-o", "fixed.mkv")["frames"] == 30


def test_damage_matters_only_where_it_is_read(tmp_path: Path) -> None:
    path = lossless(tmp_path / "a.mkv", moving_frames(COUNT))
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4 : len(data) * 3 // 4 + 4000] = bytes(4000)
    path.write_bytes(data)
    with pytest.raises(MediaError, match="damaged"):
        open_clip(Context(), path)
    assert open_clip(Context(), path, until=Time(frame=9)).index.num_frames == 9 + MARGIN + 1
    data[len(data) // 10 : len(data) // 10 + 4000] = bytes(4000)
    path.write_bytes(data)
    told = []
    for until in (None, Time(frame=30)):
        with pytest.raises(MediaError) as caught:
            open_clip(Context(), path, until=until)
        told.append(str(caught.value))
    assert told[0] == told[1]
