"""Scoring a render as a person does, and the chart in which a bad moment is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import refuse, said, said_json, snapshot, vidtrans_json
from clips import scene, write_folder
from directed_clip import Frames, lossless

import vidtrans as api
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Progress, Stop
from vidtrans.evaluation.score_report import WIDTH_PX
from vidtrans.flow import GREY_FLOWS
from vidtrans.video.images.picture import read_picture
from vidtrans.video.plots import PAPER, Chart, ChartCurve

Capsys = pytest.CaptureFixture[str]
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
    both = ("--per-frame", "per.mkv", "--reference", "source.mkv")
    assert "to per frame" in said(capsys, 0, "evaluate", "render.mkv", "--source", "source.mkv", *both)
    assert said(capsys, 0, "evaluate", "render.mkv", "--source", "source.mkv", "-q") == ""
    before = snapshot(Path())
    planned = said(capsys, 0, "evaluate", "render.mkv", "--source", "source.mkv", "-o", "p.png", "--dry-run")
    assert f"would score render.mkv: {COUNT} frames" in planned
    assert "and write p.png" in planned
    assert snapshot(Path()) == before


def test_a_plain_clip_or_picture_is_scored_without_dividing_by_zero(capsys: Capsys) -> None:
    one: dict[str, Any] = {"pairs": 0, "psnr": 99, "warping_error": None}
    four: dict[str, Any] = {"ratio": None, "sharpness": None, "psnr": 99, "warping_error": 0}
    for count, verdict, expected in ((1, "it has one frame", one), (4, "it does not flicker at all", four)):
        lossless(Path("plain.mkv"), [np.zeros((48, 64, 3), np.uint8)] * count)
        plain = ("evaluate", "plain.mkv", "--source", "plain.mkv", "--per-frame", "plain.mkv", "--overwrite", "-o")
        assert verdict in said(capsys, 0, *plain, "plain.png")
        said(capsys, 0, *plain, "plain.json")
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
def test_a_plot_is_found_again_and_never_replaces_anything_else(capsys: Capsys) -> None:
    command = ("evaluate", "render.mkv", "--source", "source.mkv", "--per-frame", "per.mkv")
    first = said_json(capsys, *command, "-o", "plot.png")
    assert (first["output"], first["cached"], set(first)) == ("plot.png", False, KEYS)
    assert read_picture(Path("plot.png")).shape[1] == WIDTH_PX
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
