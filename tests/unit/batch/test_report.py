"""The report of a night: lanes, schedules, and the page."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from vidtrans.batch.farm_report import MAX_BARS, Failure, FarmReport, render
from vidtrans.core.settings import Table

quick = settings(max_examples=25)


def line(began: float, ended: float, host: str = "n1", process: int = 1, clip: str = "a.mp4", chunk: int = 0) -> Table:
    steps = {"read": 0.25, "network": 0.5}
    maker = {"host": host, "process": process, "device": "cpu", "processor": "P"}
    place = {"clip": clip, "chunk": chunk, "frames": [10 * chunk, 10 * chunk + 10]}
    return {**place, "began": began, "ended": ended, "seconds": steps, "bytes": 9000, "render": "ab", **maker}


@quick
@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0.01, 50)), max_size=50))
def test_chunks_of_a_lane_do_not_overlap_and_none_is_lost(spans: list[tuple[float, float]]) -> None:
    night = FarmReport.of([line(began, began + length, process=n) for n, (began, length) in enumerate(spans)])
    lanes = [lane for host in night.hosts for lane in host.lanes]
    assert sum(map(len, lanes)) == len(spans)
    for lane in lanes:
        assert all(a.ended <= b.began + 0.01 for a, b in pairwise(lane))


def test_lines_that_are_none_are_passed_over_and_other_clips_do_not_count() -> None:
    inf, huge = float("inf"), 10**400
    odd: list[Table] = [{}, {"clip": "a.mp4"}, line(2, 1), line(0, 1) | {"frames": 3}]
    odd += [line(0, ended) for ended in (float("nan"), inf, 1e300)]
    odd += [line(0, 1) | {key: value} for key in ("chunk", "process", "bytes") for value in (inf, huge, -1)]
    odd += [line(0, 1) | {"frames": frames} for frames in ([0, inf], [0, huge], [-1, 2])]
    odd += [line(0, 1) | {"seconds": {"read": seconds}} for seconds in (inf, huge, 1e308, -1)]
    failed = {"clip": "a.mp4", "part": "2/3", "failed": "no disk", "host": "n2", "ended": 5.0}
    odd += [line(0, 1) | {"ended": huge}, *(failed | {"ended": ended} for ended in (huge, "late"))]
    undated = [failed | {"ended": ended} for ended in (inf, -1.0, 1e300)]
    night = FarmReport.of([*odd, line(0, 1), line(0, 1, clip="b.mp4"), failed, *undated], clips=["a.mp4"])
    assert [chunk.clip for chunk in night.chunks] == ["a.mp4"]
    names = "a.mp4", "no disk", "2/3", "n2"
    assert night.failures == [*[Failure(*names)] * 3, Failure(*names, 5.0)]
    assert "no disk" in render(night, "odd")


def test_the_page_escapes_what_it_shows_and_merges_many_bars() -> None:
    night = FarmReport.of([line(0, 1, clip="<b>.mp4", host="<i>")], [Failure("<u>", "<s>why")])
    text = render(night, "<title>")
    assert not [tag for tag in ("<b>", "<i>", "<u>", "<s>", "<title><") if tag in text]
    many = FarmReport.of([line(t, t + 1, chunk=t) for t in range(MAX_BARS + 1)])
    assert render(many, "many").count("<rect") == 1
