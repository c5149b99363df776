"""Scoring a render as a person does, and the chart in which a bad moment is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import refuse, said, said_json, snapshot, vidtrans_json
from clips import scene, write_folder
from directed_clip import Frames, lossless
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import vidtrans as api
from vidtrans.clips.indexing import open_clip
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Note, Progress, Stop
from vidtrans.core.settings import Time
from vidtrans.evaluation.score_report import UNSCORED, WIDTH, changes
from vidtrans.evaluation.scoring import AlignedSource, score_clips
from vidtrans.flow import GREY_FLOWS
from vidtrans.metrics.motion import FlowPair
from vidtrans.session import Context
from vidtrans.video.images.picture import read_picture
from vidtrans.video.plots.chart import Chart, ChartCurve, columns, round_values, runs, separate_labels
from vidtrans.video.plots.layout import PAPER

Capsys = pytest.CaptureFixture[str]
repeatable = hypothesis_settings(max_examples=10)
COUNT, SPIKE = 14, 9
KEYS = {
    *("output", "path", "frames", "seconds", "cached", "pairs", "scored_at", "compared_with", "flow", "worst"),
    *("warping_error", "warping_error_per_frame", "warping_error_source", "ratio", "removed"),
    *("flicker", "flicker_per_frame", "flicker_source", "ghosting", "error_uncovered", "error_elsewhere"),
    *(k + s for k in ("psnr", "ssim", "sharpness") for s in ("", "_to_per_frame", "_per_frame")),
}
JITTER = [0, 14, -10, 8, -14, 12, 0, -12, 10, -8, 14, -6, 9, -11]


def panned(count: int = COUNT, shots: Sequence[int] = (0,), size: tuple[int, int] = (96, 72)) -> Frames:
    """A texture that moves 2 pixels a frame; another one begins at each of ``shots``."""
    frames = []
    for i in range(count):
        shot = max(s for s in shots if s <= i)
        wide = np.clip(scene(size[0] + 2 * count, size[1], 3 + 40 * shot), 40, 200)
        frames.append(np.ascontiguousarray(wide[:, 2 * i : 2 * i + size[0]]))
    return frames


def lifted(frames: Sequence[np.ndarray], levels: Sequence[float]) -> Frames:
    return [np.clip(f + np.rint(v), 0, 255).astype(np.uint8) for f, v in zip(frames, levels, strict=False)]


@pytest.fixture(scope="module")
def _shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, folder = panned(), tmp_path_factory.mktemp("shots")
    render = lifted(source, [0.2 * v for v in JITTER])
    render[SPIKE] = lifted([source[SPIKE]], [40])[0]
    for name, frames in {"source": source, "per": lifted(source, JITTER), "render": render}.items():
        lossless(folder / f"{name}.mkv", frames)
    return folder


@pytest.fixture
def shots(_shots: Path) -> None:
    """Put a pan here, how a look that jitters paints it, and a render that is steady but for one frame."""
    shutil.copytree(_shots, Path(), dirs_exist_ok=True)


def strict(text: str) -> Any:
    """JSON without NaN and infinity, which are none."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.usefixtures("shots")
def test_all_measures_of_a_render_and_the_moment_that_is_bad() -> None:
    table = vidtrans_json("evaluate", "render.mkv", "--source", "source.mkv", "--per-frame", "per.mkv")
    assert set(table) == KEYS
    assert (table["output"], table["path"], table["frames"], table["pairs"]) == (None, "render.mkv", COUNT, COUNT - 1)
    assert table["compared_with"] == "per-frame"
    with_reference = {k + s for k in ("psnr", "ssim", "sharpness") for s in ("_to_per_frame", "_per_frame")}
    assert {k for k in KEYS if table[k] is None} == {"output", *with_reference}
    assert 0.9 > table["removed"] > 0.2
    assert table["ratio"] == pytest.approx(table["warping_error"] / table["warping_error_per_frame"], rel=1e-3)
    told = vidtrans_json("evaluate", "render.mkv", "--source", "source.mkv", "--per-frame", "per.mkv", "-o", "s.json")
    assert "series" not in told
    series = strict(Path("s.json").read_text())["series"]
    assert {len(column) for column in series.values()} == {COUNT}
    assert table["warping_error"] == pytest.approx(np.mean(series["warping_error"][1:]), rel=1e-3)
    worst = table["worst"][0]
    assert worst["frame"] in (SPIKE, SPIKE + 1)
    assert worst["seconds"] == pytest.approx(worst["frame"] / 30, abs=2e-3)
    assert worst["warping_error"] > 10 * worst["warping_error_source"]


@pytest.mark.usefixtures("shots")
def test_a_person_reads_a_table_and_a_verdict(capsys: Capsys) -> None:
    text = said(capsys, 0, "evaluate", "render.mkv", "--source", "source.mkv", "--per-frame", "per.mkv")
    lines = text.splitlines()
    assert lines[0].startswith(f"render.mkv: {COUNT} frames, {COUNT - 1} pairs scored at 96x72")
    assert "% of the per-frame flicker is gone" in lines[-1]
    assert f"worst at frame {SPIKE}" in lines[-1] or f"worst at frame {SPIKE + 1}" in lines[-1]
    for name in ("warping error", "flicker", "PSNR", "SSIM", "sharpness", "ghosting", "worst"):
        assert any(line.startswith(f"  {name} ") for line in lines), name
    alone = said(capsys, 0, "evaluate", "render.mkv", "--source", "source.mkv")
    assert "times the source's" in alone
    assert "PSNR" not in alone
    before = snapshot(Path())
    planned = said(capsys, 0, "evaluate", "render.mkv", "--source", "source.mkv", "-o", "p.png", "--dry-run")
    assert f"would score render.mkv: {COUNT} frames" in planned
    assert "and write p.png" in planned
    assert snapshot(Path()) == before


@pytest.mark.parametrize(
    ("count", "verdict", "expected"),
    [
        (1, "its steadiness cannot be scored: it has one frame", {"pairs": 0, "psnr": 99, "warping_error": None}),
        (4, "it does not flicker at all", {"ratio": None, "sharpness": None, "psnr": 99, "warping_error": 0}),
    ],
)
def test_a_plain_clip_or_picture_is_scored_without_dividing_by_zero(
    count: int, verdict: str, expected: dict[str, Any], capsys: Capsys
) -> None:
    lossless(Path("plain.mkv"), [np.zeros((48, 64, 3), np.uint8)] * count)
    plain = ("evaluate", "plain.mkv", "--source", "plain.mkv", "--per-frame", "plain.mkv")
    assert verdict in said(capsys, 0, *plain, "-o", "plain.png")
    said(capsys, 0, *plain, "-o", "plain.json")
    assert strict(Path("plain.json").read_text()).items() >= expected.items()


def test_other_sizes_are_brought_to_the_outputs_and_told_once(capsys: Capsys) -> None:
    lossless(Path("large.mkv"), panned(size=(192, 144)))
    lossless(Path("wide.mkv"), panned(size=(192, 72)))
    lossless(Path("small.mkv"), [f[::2, ::2].copy() for f in panned(size=(192, 144))])
    text = said(capsys, 0, "evaluate", "small.mkv", "--source", "large.mkv", "--per-frame", "wide.mkv", "-o", "x.png")
    told = [line for line in text.splitlines() if line.startswith("warning")]
    sizes = "large.mkv is 192x144; wide.mkv is 192x72, stretched: compared at 96x72, the size of small.mkv"
    assert told == [f"warning: {sizes}"]


def test_clips_of_other_rates_go_together_by_time(capsys: Capsys) -> None:
    every = panned(24)
    lossless(Path("a.mkv"), every, rate=30)
    lossless(Path("b.mkv"), every[::2], rate=15, time_base=Fraction(1, 15360))
    text = said(capsys, 0, "evaluate", "b.mkv", "--source", "a.mkv", "--per-frame", "b.mkv")
    assert "matched by time" in text
    table = said_json(capsys, "evaluate", "b.mkv", "--source", "a.mkv")
    assert (table["frames"], table["warping_error"]) == (12, table["warping_error_source"])


def test_a_part_is_scored_against_its_part_of_the_source(capsys: Capsys) -> None:
    whole, pts, base = panned(30), [i * 1001 for i in range(30)], Fraction(1, 30000)
    lossless(Path("whole.mp4"), whole, pts=pts, time_base=base)
    write_folder(Path("pictures"), whole[10:20])
    lossless(Path("part.mp4"), whole[10:20], pts=pts[:10], time_base=base)
    rounded = [round(i * 1001 / 30) for i in range(10)]
    lossless(Path("rounded.mkv"), whole[10:20], pts=rounded, time_base=Fraction(1, 1000))
    for output in ("pictures", "part.mp4", "rounded.mkv"):
        command = ("evaluate", output, "--source", "whole.mp4", "--reference", "whole.mp4")
        assert said_json(capsys, *command, "--start", "10")["psnr"] == 99
    text = said(capsys, 0, *command)
    assert "rounded.mkv hardly shows the same" in text
    assert "it goes on for 20 frames after" in text
    assert "--start" in text


def beside(clip: str, output: str, start: Time | None = None) -> tuple[list[int], list[str]]:
    """Which of a clip's frames go with those of a render, and what is told about it."""
    told: list[str] = []
    context = Context(report=lambda event: told.append(event.text) if isinstance(event, Note) else None)
    found = AlignedSource.find(open_clip(context, Path(clip)), open_clip(context, Path(output)), context, start)
    return list(found.steps), told


def test_as_many_frames_go_together_by_number_and_other_times_are_told() -> None:
    step = int(Fraction(15360, 30))
    lossless(Path("a.mkv"), panned())
    lossless(Path("faster.mkv"), panned(), rate=60)
    rounded = [round(i * 1000 / 30) for i in range(COUNT)]
    lossless(Path("rounded.mkv"), panned(), pts=rounded, time_base=Fraction(1, 1000))
    lossless(Path("later.mp4"), panned(), pts=[700 + step * i for i in range(COUNT)])
    lossless(Path("uneven.mp4"), panned(), pts=[step * i + (step * 6 // 10 if i % 3 else 0) for i in range(COUNT)])
    write_folder(Path("pictures"), panned())
    for name in ("a.mkv", "rounded.mkv", "later.mp4", "pictures"):
        assert beside(name, "a.mkv") == (list(range(COUNT)), []), name
    for name in ("faster.mkv", "uneven.mp4"):
        steps, (told,) = beside(name, "a.mkv")
        assert steps == list(range(COUNT))
        assert told == f"{name}: its frames have other times than those of a.mkv: matched by number (equal counts)"
    steps, (told,) = beside("a.mkv", "a.mkv", Time(frame=5))  # which counts where there are as many frames, too
    assert steps == [*range(5, COUNT), *[COUNT - 1] * 5]
    assert told.endswith(f"it has 9 frames, a.mkv {COUNT}: matched by time, its last frame is held from frame 9 on")


def test_across_missing_pictures_frames_are_compared_with_their_own(capsys: Capsys) -> None:
    frames = panned()
    for name, gone in (("out", {4, 5}), ("src", {8})):
        at = [i for i in range(COUNT) if i not in gone]
        write_folder(Path(name), [frames[i] for i in at], [f"{name}_v2_{i:04}.png" for i in at])
    table = said_json(capsys, "evaluate", "out", "--source", "src", "--reference", "src", "-o", "scores.json")
    assert table["psnr"] == 99
    assert table["warping_error"] == table["warping_error_source"]
    assert strict(Path("scores.json").read_text())["series"]["psnr"].count(None) == 1
    told = said(capsys, 0, "evaluate", "out", "--source", "src")
    assert "none in it for frame out_v2_0008.png: not compared" in told


@pytest.mark.usefixtures("shots")
def test_pictures_that_are_at_hand_are_scored_like_a_file() -> None:
    context = Context()
    render, *others = (open_clip(context, Path(f"{n}.mkv")) for n in ("render", "source", "per"))
    source, per_frame_clip = (AlignedSource.find(clip, render, context) for clip in others)
    per_frame = lifted(panned(), JITTER)
    from_file = score_clips(render, source, context, per_frame=per_frame_clip)
    assert score_clips(render, source, context, per_frame=iter(per_frame)) == from_file
    with pytest.raises(ValueError, match="3 pictures for 14 frames"):
        score_clips(render, source, context, per_frame=per_frame[:3])


@pytest.mark.usefixtures("shots")
def test_a_plot_is_found_again_and_never_replaces_anything_else(capsys: Capsys) -> None:
    command = ("evaluate", "render.mkv", "--source", "source.mkv", "--per-frame", "per.mkv")
    first = said_json(capsys, *command, "-o", "plot.png")
    assert (first["output"], first["cached"], set(first)) == ("plot.png", False, KEYS)
    assert read_picture(Path("plot.png")).shape[1] == WIDTH
    again = said_json(capsys, *command, "-o", "plot.png")
    assert again == first | {"cached": True, "seconds": again["seconds"]}
    refuse(capsys, 2, *command, "--flow", "dis", "-o", "plot.png")
    assert "dis" in said_json(capsys, *command, "--flow", "dis", "-o", "plot.png", "--overwrite")["flow"]
    Path("mine.png").write_bytes(b"mine")
    assert "--overwrite" in refuse(capsys, 2, *command, "-o", "mine.png")


@pytest.mark.usefixtures("shots")
def test_a_stop_leaves_nothing_behind() -> None:
    stop = Stop()

    def report(event: Any) -> None:
        if isinstance(event, Progress) and event.task.startswith("scoring") and event.done == 3:
            stop.request(130)

    with pytest.raises(Interrupted):
        api.evaluate("render.mkv", "source.mkv", result="p.png", report=report, stop=stop)
    assert not list(Path().glob("*.png")) + list(Path().glob(".*partial*"))


BAD: list[tuple[tuple[str, ...], int, str]] = [
    (("render.mkv",), 2, "--source"),
    (("nowhere.mkv", "--source", "source.mkv"), 3, "no such file"),
    (("render.mkv", "--source", "nowhere.mkv"), 3, "no such file"),
    (("text.mp4", "--source", "source.mkv"), 3, "text.mp4"),
    (("empty", "--source", "source.mkv"), 3, "no pictures"),
    (("mixed", "--source", "mixed"), 2, "not of one size"),
    (("render.mkv", "--source", "source.mkv", "--flow", "raft"), 2, f"choose from: {', '.join(sorted(GREY_FLOWS))}"),
    (("render.mkv", "--source", "source.mkv", "-o", "p.mp4"), 2, "-o p.png"),
    (("render.mkv", "--source", "source.mkv", "-o", "out/p_%d.png"), 2, "one picture"),
    (("frame.png", "--source", "source.mkv", "-o", "frame.png", "--overwrite"), 2, "one of the inputs"),
    (("frame.png", "--source", "source.mkv", "--start", "99"), 2, "choose times within the clip"),
]


@pytest.mark.usefixtures("shots")
def test_what_cannot_be_scored_is_told_in_a_line(capsys: Capsys) -> None:
    Path("text.mp4").write_text("no video")
    Path("empty").mkdir()
    write_folder(Path("mixed"), [panned(1)[0], panned(1)[0][:40]])
    write_folder(Path(), [panned(1)[0]], ["frame.png"])
    for arguments, status, says in BAD:
        assert says in refuse(capsys, status, "evaluate", *arguments)
    data = bytearray(Path("render.mkv").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    Path("bad.mkv").write_bytes(data)
    assert "--allow-damaged" in said(capsys, 3, "evaluate", "bad.mkv", "--source", "source.mkv")
    assert said_json(capsys, "evaluate", "bad.mkv", "--source", "source.mkv", "--allow-damaged")["frames"] > 0


@repeatable
@given(st.floats(-1e7, 1e7), st.floats(0, 1e7), st.integers(2, 12), st.booleans())
def test_round_values_lie_around_or_between_ends_of_an_axis(low: float, span: float, count: int, whole: bool) -> None:
    high, slack = low + span, 1e-5 * max(1.0, abs(low), abs(low + span))
    levels, inner = (round_values(low, high, count, whole=whole, around=around) for around in (True, False))
    assert levels[0] - slack <= low <= high <= levels[-1] + slack
    assert all(low - slack <= value <= high + slack for value in inner)
    assert len(inner) <= count + 2 <= len(levels) + count <= 2 * count + 3
    assert not whole or all(float(v).is_integer() for v in (*levels, *inner))


@repeatable
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(10, 60)), min_size=1, max_size=6))
def test_labels_are_not_on_each_other(labels: list[tuple[int, int]]) -> None:
    labels.sort()
    widths = [wide for _, wide in labels]
    middles = separate_labels([x for x, _ in labels], widths, 500)
    boxes = [(middle - wide / 2, middle + wide / 2) for middle, wide in zip(middles, widths, strict=True)]
    assert all(a[1] < b[0] for a, b in pairwise(boxes))
    assert boxes[-1][1] <= 500
    assert boxes[0][0] >= 0 or sum(widths) + 3 * len(widths) > 500


@repeatable
@given(st.lists(st.one_of(st.none(), st.floats(0, 9)), max_size=200), st.integers(1, 50))
def test_no_peak_is_lost_where_frames_are_more_than_columns(values: list[float | None], width: int) -> None:
    found = list(columns(values, width))
    assert len(found) == min(len(values), width)
    assert max((v for _, v in found if v is not None), default=None) == max(
        (v for v in values if v is not None), default=None
    )
    assert sum(map(len, runs(found))) == sum(v is not None for _, v in found)


CURVE = (255, 190, 70)


def curve_top(picture: np.ndarray, x: int) -> int:
    return int(np.flatnonzero(np.abs(picture[54:-40, x].astype(int) - CURVE).max(axis=1) < 40)[0])


def test_a_bad_moment_stands_out_in_a_chart_at_its_place() -> None:
    values: list[float | None] = [1.0] * 200
    values[0] = values[120] = None
    values[150] = 9.0
    chart = Chart("title", [ChartCurve("output", values, CURVE, 2)], [i / 25 for i in range(200)], [120], [150])
    picture = chart.draw(1000, 300)
    assert picture.shape == (300, 1000, 3)
    place = lambda frame: round(58 + (1000 - 58 - 14) * (frame + 0.5) / 200)  # noqa: E731
    assert curve_top(picture, place(150)) < 30 < 150 < curve_top(picture, place(50))
    column = picture[54:-40, place(119.5)]
    assert (column != np.array(PAPER)).any(axis=1).mean() > 0.3  # the cut
    assert (picture[28:46, place(150)] == CURVE).all(axis=1).mean() > 0.2  # the mark


def test_without_times_a_chart_is_over_steps_and_its_axis_reaches_below_zero() -> None:
    falling = Chart("loss", [ChartCurve("", [None, *np.linspace(1, -1, 400)], CURVE, 2)]).draw(300, 200)
    first, middle, last = (curve_top(falling, x) for x in (70, 172, 280))
    assert 0 <= first < middle < last < 200 - 54 - 40
    timed = Chart("loss", [ChartCurve("", [0.0] * 401, CURVE, 2)], [i / 25 for i in range(401)]).draw(300, 200)
    assert (falling[-16:] == PAPER).all()
    assert (timed[-16:] != PAPER).any()
    for values in ([], [None]):
        assert Chart("t", [ChartCurve("a", values, CURVE)], [0.5] * len(values)).draw(400, 200).shape == (200, 400, 3)


def test_what_changed_is_bright_and_what_is_not_scored_is_slate() -> None:
    still = np.zeros((40, 60, 2), np.float32)
    torn = still.copy()
    torn[:, 40:, 0] = 30
    before = np.full((40, 60, 3), 100, np.uint8)
    after = before.copy()
    after[:, :20] += 60
    picture = changes(before, after, FlowPair(still, torn))
    assert picture[:, :19].mean() > 200
    assert picture[:, 21:30].mean() < 5
    assert (picture[:, 45:] == UNSCORED).all()
