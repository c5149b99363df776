"""The training report: one file, true to what it is told, and the same every time."""

from __future__ import annotations

import base64
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vidtrans.training import Label
from vidtrans.training.report import training_page as report_module
from vidtrans.training.report.score_curves import (
    BOTTOM,
    LEFT,
    MAX_POINTS,
    RIGHT,
    ROLLOUT_LABELS,
    TOP,
    Axis,
    LossCurve,
    LossPanel,
    StepMarks,
    axis_for,
    figure,
    short,
    thin,
    window_of,
)
from vidtrans.training.report.training_page import (
    MAX_FILM,
    RolloutSummary,
    TrainingReport,
    film_steps,
    render,
    write_report,
)

VOID = {"meta", "img", "input", "br", "link", "path", "circle"}
NASTY = "</script><script>alert(1)</script> & \"quotes\" 'too' {{ title }} {% raw %}"


class Page(HTMLParser):
    """A page taken apart. Raises AssertionError where an element is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self.open.pop() == tag, f"</{tag}> in {self.open}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str, name: str = "") -> list[dict[str, str | None]]:
        return [a for t, a in self.elements if t == tag and (not name or name in (a.get("class") or "").split())]


def picture(seed: int = 0, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)


def curve(*values: float) -> LossCurve:
    found = np.array(values)
    return LossCurve(np.arange(1.0, len(found) + 1), found, found, found)


def drawn(panel: LossPanel) -> str:
    """The panel as the page shows it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_module, "_loss_panels", lambda report: [panel])
        [found] = re.findall(r'<figure class="panel.*?</figure>', render(TrainingReport("t")), re.DOTALL)
    return str(found)


def a_report(**changes: Any) -> TrainingReport:
    rng = np.random.default_rng(0)
    table: dict[str, Any] = {
        "title": "How the model of dog.mp4 learned",
        "facts": {"dataset": "dog.dataset", "steps": 2000, "from": None},
        "columns": ["gan", "l1", "discriminator", "feature_matching"],
        "rows": rng.gamma(2, 0.3, (2000, 4)).tolist(),
        "balance": 0.6931,
        "scores": [
            (s, {"pairs": 8, "l1": 0.1, "psnr": 20 + s / 1000, "ssim": None, "sharpness": 0.9, "mystery": 3.0})
            for s in (500, 1000, 1500, 2000)
        ],
        "best": 1500,
        "warnings": [(700, "the discriminator has won")],
        "sheets": [(s, picture(s, (90, 120))) for s in (40, 2000)],
        "film": [(s, picture(s)) for s in film_steps(2000)],
        "input": picture(1),
        "target": picture(2),
    }
    return TrainingReport(**(table | changes))


def test_a_page_of_one_file_that_asks_for_nothing_and_says_all() -> None:
    text = render(a_report())
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "base")
        for name in ("src", "href", "srcset", "poster", "action", "data"):
            assert (attributes.get(name) or "data:image/").startswith("data:image/"), (tag, name)
    assert not re.search(r"https?:|@import|url\(|//[a-z]", re.sub(r"base64,[\w+/=]+", "", text).replace("// ", ""))
    assert "default-src 'none'" in text
    assert len(page.all("img")) == 3 + 2 + 1  # the film, the previews, and the place where one is shown large
    assert len(page.all("figure", "panel")) == 4 + 4
    assert all((svg["aria-label"] or "").endswith("over 2,000 steps") for svg in page.all("svg"))
    words = ["How the model of dog.mp4 learned", "2,000 steps", "best at step 1,500", "On 8 pairs", "dog.dataset"]
    words += ["Step 700 the discriminator has won", "mystery"]  # a later score has no words of its own, and is drawn
    assert [word for word in words if word not in page.text] == []
    assert not {"SSIM", "None"} & set(page.text.split())  # pictures were too small for it
    assert len(page.all("circle", "best")) == 4
    panels = re.findall(r'<figure class="panel (\w+)">(.*?)</figure>', text, re.DOTALL)
    assert [kind for kind, _ in panels] == ["score"] * 4 + ["gan", "l1", "discriminator", "other"]
    assert ["a draw" in drawn for _, drawn in panels] == [False] * 6 + [True, False]
    assert ["as sharp" in drawn for _, drawn in panels] == ["Sharpness" in drawn for _, drawn in panels]


def test_a_page_of_a_plain_run_has_nothing_but_what_there_is() -> None:
    text = render(a_report(warnings=[], sheets=[], facts={"from": None}, scores=[], best=None))
    page = Page(text)
    assert not page.all("section", "warnings")
    assert [word for word in ("Warnings", "Previews", "The run", "Held-out scores") if word in page.text] == []
    assert text.count("<section") == text.count("<h2")  # of the film, and of the losses
    assert not re.search(r"</(section|p|dl)>\s*\w", text)  # nothing is told outside of a section
    assert "None" not in page.text
    assert "Losses" not in Page(render(a_report(scores=[], best=None, columns=[], rows=[]))).text


def test_losses_that_are_no_numbers_are_told_beside_the_rest() -> None:
    rows = [[1.0, 1.0, 1.0, 1.0]] * 9 + [[1.0, float("nan"), 1.0, 1.0]]
    text = Page(render(a_report(rows=rows, scores=[], best=None))).text
    assert "Unweighted, on the training pictures." in text
    assert "A red line marks a warning. Left out, for a value that is not a number: 1 of 10 steps." in text
    assert "nan" not in text
    told = Page(render(a_report(rows=rows[:9], warnings=[], scores=[], best=None))).text
    assert "highest single step. G: adversarial" in told


def test_of_many_previews_the_first_and_the_last_are_shown() -> None:
    sheets = [(step, picture(step, (16, 16))) for step in range(1, 40)]
    found = re.findall(r"preview at step (\d+)", render(a_report(sheets=sheets)))
    assert 2 < len(found) < 39
    assert (found[0], found[-1]) == ("1", "39")
    gaps = np.diff([int(step) for step in found])
    assert gaps.max() - gaps.min() <= 1


def test_all_text_is_escaped() -> None:
    scores = [(10, {"psnr": 20.0, NASTY: 1.0})]
    report = a_report(title=NASTY, facts={NASTY: NASTY}, warnings=[(5, NASTY)], scores=scores, best=10)
    page = Page(render(report))
    assert [a.get("type") for a in page.all("script")] == ["application/json", None]
    assert page.text.count("alert(1)") >= 5
    assert page.text.startswith(NASTY)


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [-3.0, 9.0], [1e-6, 2.0, 1e3], [0.0, 1e-9], [1e-300, 1.0]])
def test_an_axis_holds_its_curve(values: list[float]) -> None:
    of = curve(*values)
    for from_zero in (False, True):
        axis = axis_for(of, 0.5, from_zero)
        places = axis.place(of.mean)
        assert ((places >= TOP - 1e-6) & (places <= BOTTOM + 1e-6)).all()
        assert 1 <= len(axis.ticks()) <= 12
    assert axis_for(of, from_zero=True).log == (values[0] > 0 and max(values) > 100 * min(values))


def test_nothing_yet_and_nearly_nothing() -> None:
    assert "no step yet" in Page(render(TrainingReport("nothing"))).text
    one = TrainingReport("one", columns=["l1"], rows=[[0.5]], scores=[(1, {"psnr": 12.0})], film=[(1, picture())])
    assert "one 1 step ·" in Page(render(one)).text
    flat = a_report(rows=[[0.0, 0.1, 0.0, 0.1]] * 50, scores=[(0, {"psnr": None})], film=[], best=None)
    page = Page(render(flat))
    assert len(page.all("figure", "panel")) == 2  # no discriminator
    assert not page.all("input")


def test_it_stays_small_and_is_the_same_bytes_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FILM_BYTES", "SHEET_BYTES"):
        monkeypatch.setattr(report_module, name, 300_000)
    rng = np.random.default_rng(0)
    film = [(s, rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for s in range(1, MAX_FILM + 40)]
    sheets = [(s, rng.integers(0, 256, (200, 150, 3), dtype=np.uint8)) for s in range(8)]
    report = a_report(film=film, sheets=sheets, rows=rng.random((20_000, 4)).tolist())
    for path in (tmp_path / "deep" / "report.html", tmp_path / "b.html"):
        write_report(path, report)
    text = (tmp_path / "b.html").read_text("utf-8")
    assert (tmp_path / "deep" / "report.html").read_text("utf-8") == text
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["b.html", "deep", "report.html"]
    assert len(text.encode()) < 2 * 300_000 * 4 / 3 + 500_000
    frames = json.loads(re.findall(r'id="frames">(.*?)</script>', text)[0])
    assert len(frames["steps"]) == len(frames["pictures"]) == MAX_FILM
    assert (frames["steps"][0], frames["steps"][-1]) == (1, MAX_FILM + 39)


def test_the_table_has_all_scores_the_best_in_bold_and_names_the_best_and_the_last_state() -> None:
    scores: Any = [
        (10, {"l1": 0.5, "psnr": 20.0, "re_read": 3.0, "ssim": None}),
        (20, {"l1": 0.25, "psnr": None, "re_read": 1.0, "ssim": 0.5}),
        (30, {"l1": 0.75, "psnr": 10.0, "re_read": 2.0, "ssim": None}),
    ]
    text = render(a_report(scores=scores, best=20))
    [table] = re.findall(r'<div class="scroll"><table><thead>(.*?)</table>', text, re.DOTALL)
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)]
    assert [[cell.replace("<i>", "").replace("</i>", "") for cell in row] for row in rows] == [
        ["step", "L1", "PSNR", "SSIM", "re read"],
        ["10", "0.5000", "<b>20.00</b>", "–", "3.00"],  # of a later score it is not known which is the best
        ["best 20", "<b>0.2500</b>", "–", "<b>0.5000</b>", "1.0000"],
        ["last 30", "0.7500", "10.00", "–", "2.00"],
    ]
    assert [words for words in ("L1", "PSNR", "SSIM") if f"<dt>{words}</dt>" in text] == ["L1", "SSIM"]
    for count in (12, 13):  # a long table is folded
        long = [(step, {"l1": 0.5}) for step in range(1, count + 1)]
        [details] = Page(render(a_report(scores=long, best=1))).all("details")
        assert ("open" in details) == (count == 12)


@pytest.mark.parametrize(("best", "beside"), [(1500, "best state; last 22.00"), (2000, ""), (None, "")])
def test_scores_of_the_best_state_have_those_of_the_last_beside_them(best: int | None, beside: str) -> None:
    text = render(a_report(best=best))
    value = "21.50" if best == 1500 else "22.00"
    assert f"<dt>PSNR</dt><dd>{value} <small>dB</small></dd><dd><small>{beside}</small></dd>" in text
    assert f'aria-label="held-out scores of the {"last" if best is None else "best"} state"' in text


def shades(uri: str | None) -> np.ndarray:
    """The mean colour of a picture in the page, RGB."""
    data = np.frombuffer(base64.b64decode((uri or "").partition(",")[2]), np.uint8)
    mean: np.ndarray = cv2.imdecode(data, cv2.IMREAD_COLOR).mean((0, 1))[::-1]
    return mean


def test_the_film_lies_between_the_input_and_the_target_and_begins_at_its_end() -> None:
    film = [(step, np.full((48, 64, 3), (200 - step, 10, step), np.uint8)) for step in (1, 50, 90)]
    report = a_report(film=film, input=np.full((48, 64, 3), 30, np.uint8), target=np.full((48, 64, 3), 220, np.uint8))
    text = render(report)
    page = Page(text)
    wanted = {"input": (30, 30, 30), "output": (110, 10, 90), "target": (220, 220, 220)}
    pictures = {str(image["alt"]): shades(image["src"]) for image in page.all("img") if image["alt"] in wanted}
    assert list(pictures) == [figure.get("class") for figure in page.all("figure")][:3] == list(wanted)
    for name, colour in wanted.items():
        assert pictures[name] == pytest.approx(colour, abs=4)
    frames = json.loads(re.findall(r'id="frames">(.*?)</script>', text)[0])
    assert frames["steps"] == [1, 50, 90]
    for (step, _), uri in zip(film, frames["pictures"], strict=True):
        assert shades(uri) == pytest.approx((200 - step, 10, step), abs=4)
    [slider] = page.all("input")
    assert (slider["max"], slider["value"]) == ("2", "2")
    assert "step 90" in page.text
    alone = Page(render(a_report(input=None)))
    assert [figure.get("class") for figure in alone.all("figure")][:2] == ["output", "target"]


def test_pictures_are_as_good_as_their_budget_allows() -> None:
    rng = np.random.default_rng(0)
    noise = [(n, rng.integers(0, 256, (100, 100, 3), dtype=np.uint8)) for n in range(9)]

    def of(side: int, budget: int) -> tuple[set[tuple[int, ...]], int]:
        data = [base64.b64decode(uri.partition(",")[2]) for _, uri in report_module._data_uris(noise, side, budget)]
        assert len(data) == len(noise)
        shapes = {cv2.imdecode(np.frombuffer(d, np.uint8), cv2.IMREAD_COLOR).shape for d in data}
        return shapes, sum(map(len, data))

    whole, weight = of(100, 10**9)
    assert whole == {(100, 100, 3)}
    assert of(50, 10**9)[0] == {(50, 50, 3)}
    same, coarser = of(100, round(0.9 * weight))  # coarser first, and only then smaller
    assert same == whole
    assert 0.5 * weight < coarser <= 0.9 * weight
    smaller, light = of(100, weight // 8)
    assert max(smaller)[0] < 100
    assert weight // 20 < light <= weight // 8
    assert of(100, 1)[0] == {(30, 30, 3)}  # the last try, whatever it weighs


def test_a_film_is_taken_at_first_and_at_last() -> None:
    assert film_steps(0) == []
    assert film_steps(1) == [1]
    for total in (2, 50, 80_000):
        steps = film_steps(total)
        assert steps == sorted(set(steps))
        assert (steps[0], steps[-1]) == (1, total)
        assert len(steps) <= 72
    assert film_steps(1000, 5) == [1, 31, 177, 487, 1000]  # 1000 · (n / 4)^2.5


PROBE = """<script>
const film = document.getElementById("film"), slider = document.getElementById("scrub"), told = [];
const tell = () => told.push([slider.value, document.getElementById("now").textContent, film.src === F[+slider.value]]);
const F = JSON.parse(document.getElementById("frames").textContent).pictures;
tell();
slider.value = 3; slider.dispatchEvent(new Event("input")); tell();
const line = document.querySelector(".playhead");
told.push([line.getAttribute("visibility"), line.getAttribute("transform")]);
slider.dispatchEvent(new KeyboardEvent("keydown", { key: " ", cancelable: true }));
told.push(document.getElementById("play").textContent);
document.querySelector(".zoom").click(); told.push(document.getElementById("large").open);
setTimeout(() => {
  told.push(film.naturalWidth, +slider.value);
  document.querySelector(".panel svg").dispatchEvent(new MouseEvent("click", { clientX: 0, clientY: 0 }));
  told.push(slider.value, document.getElementById("play").textContent);
  document.title = JSON.stringify(told);
}, 1500);
</script>"""


def test_it_works_in_a_browser(tmp_path: Path) -> None:
    found = [b for b in ("chromium", "chromium-browser", "google-chrome", "chrome") if shutil.which(b)]
    if not found:
        pytest.skip("no Chromium on this machine")
    page = tmp_path / "report.html"
    page.write_text(render(a_report()).replace("</body>", PROBE + "</body>"), "utf-8")
    command = [found[0], "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'browser'}"]
    command += ["--virtual-time-budget=5000", "--dump-dom", page.as_uri()]
    made = subprocess.run(command, capture_output=True, timeout=300, check=False)
    if made.returncode:
        pytest.skip(f"Chromium does not start here: {made.stderr.decode(errors='replace')[-200:]}")
    title = re.search(r"<title>(.*?)</title>", made.stdout.decode())
    assert title
    steps = film_steps(2000)
    first, scrubbed, line, play, zoomed, width, played, clicked, stopped = json.loads(title[1])
    assert first == [str(len(steps) - 1), "step 2,000", True]
    assert scrubbed == ["3", f"step {steps[3]}", True]
    assert line[0] == "visible"
    assert line[1].startswith("translate(44.")
    assert play == "Pause"
    assert zoomed is True
    assert width == 64
    assert 3 < played < len(steps) - 1
    assert (clicked, stopped) == ("0", "Play")


@pytest.mark.parametrize(
    ("aim", "best"), [(math.inf, 3.0), (-math.inf, -2.0), (1.0, 0.5), (0.0, 0.5), (2.8, 3.0), (None, None)]
)
def test_the_best_is_nearest_to_what_is_aimed_at(aim: float | None, best: float | None) -> None:
    words = Label("a", "c", "b", aim)
    assert words.best([3.0, -2.0, 0.5]) == best
    assert words.best([]) is None


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1, 100, [1, 2, 5, 10, 20, 50, 100]),
        (0.3, 4, [0.5, 1, 2]),
        (1e-3, 2, [1e-3, 1e-2, 1e-1, 1]),
        (1e-9, 1, [1e-9, 1e-7, 1e-5, 1e-3, 1e-1]),
        (1e-10, 1, [1e-10, 1e-7, 1e-4, 1e-1]),
        (1e-4, 0.9, [1e-4, 1e-3, 1e-2, 1e-1]),
    ],
)
def test_a_logarithmic_axis_has_round_ticks_and_few(low: float, high: float, ticks: list[float]) -> None:
    assert Axis(low, high, log=True).ticks() == pytest.approx(ticks)


@given(st.floats(-1e3, 1e3), st.floats(1e-2, 1e3))
def test_the_ticks_of_an_axis_are_even_round_and_within_it(low: float, span: float) -> None:
    ticks = Axis(low, low + span, log=False).ticks()
    assert 1 <= len(ticks) <= 6
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)
    assume(len(ticks) > 1)
    step = ticks[1] - ticks[0]
    assert np.allclose(np.diff(ticks), step, rtol=1e-6)
    digits = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(digits - m) for m in (1, 2, 5, 10)) < 1e-6
    assert ticks[0] - low < step * (1 + 1e-6)
    assert low + span - ticks[-1] < step * (1 + 1e-6)


def test_axes_leave_a_little_room_but_not_below_zero() -> None:
    assert axis_for(curve(2.0, 4.0)) == pytest.approx(Axis(1.88, 4.12, False))
    assert axis_for(curve(2.0, 4.0), from_zero=True) == pytest.approx(Axis(0.0, 4.24, False))
    assert axis_for(curve(-1.0, 4.0), from_zero=True) == pytest.approx(Axis(-1.3, 4.3, False))
    assert axis_for(curve(2.0, 4.0), level=7.0) == pytest.approx(Axis(1.7, 7.3, False))
    assert axis_for(curve(5.0, 5.0)) == pytest.approx(Axis(4.75, 5.25, False))
    assert axis_for(curve(0.1, 0.1, 1000.0), from_zero=True) == pytest.approx(Axis(0.1 / 1.1, 1100.0, True))


def test_a_panel_draws_its_line_band_level_and_warnings_where_they_are() -> None:
    run, values = StepMarks(last=4, best=2, warnings=[(2, "<slow>")]), [1.0, 2.0, 3.0, 4.0]
    text = drawn(LossPanel(Label("A", "h", "u"), curve(*values), run, "k", level=(5.0, "draw")))
    axis = axis_for(curve(*values), 5.0, from_zero=True)
    xs = [LEFT + (RIGHT - LEFT) * step / 4 for step in (1, 2, 3, 4)]
    points = [f"{x:.1f} {y:.1f}" for x, y in zip(xs, axis.place(np.array(values)), strict=True)]
    for part in (
        f'class="warned" d="M{(LEFT + RIGHT) / 2:.1f} {TOP}V{BOTTOM}"',
        "step 2: &lt;slow&gt;",
        f'class="mean" d="M{"L".join(points)}"',
        f'class="band" d="M{"L".join([*points, *points[::-1]])}Z"',
        f'class="level" d="M{LEFT} {axis.place(5.0):.1f}H{RIGHT}"',
        ">draw</text>",
        'aria-label="A: 1 at first, 4 at last, from 1 to 4, over 4 steps"',
    ):
        assert part in text
    assert "<circle" not in text
    assert [axis.place(v) for v in (axis.low, axis.high)] == pytest.approx([BOTTOM, TOP])
    assert Axis(1.0, 100.0, True).place(10.0) == pytest.approx((BOTTOM + TOP) / 2)


def test_a_panel_tells_its_unit_and_its_scale_where_there_is_one_and_its_last_step_left_of_the_end() -> None:
    plain = drawn(LossPanel(Label("a", "c", ""), curve(1.0, 2.0), StepMarks(20), "loss"))
    assert "<small></small>" in plain
    assert plain.count('class="note"') == 1  # "steps"
    anchors = re.findall(rf'<text x="([0-9.]+)" y="{BOTTOM + 17}" text-anchor="(\w+)">(\w+)</text>', plain)
    assert [anchor for _, anchor, _ in anchors] == ["middle"] * (len(anchors) - 1) + ["end"]
    assert [int(step) for *_, step in anchors] == [0, 5, 10, 15, 20]
    told = drawn(LossPanel(Label("a", "c", "dB"), curve(1.0, 2000.0), StepMarks(20), "loss"))
    assert "<small>log scale</small>" in told
    assert told.count('class="note"') == 2
    assert ">dB</text>" in told
    before = LossCurve(*[np.zeros(1)] * 4)  # one score before the first step
    assert 'data-last="1"' in drawn(LossPanel(Label("a", "c", ""), before, StepMarks(0), "score", dots=True))


def test_dots_mark_the_best_and_the_last() -> None:
    text = drawn(LossPanel(Label("A", "h", ""), curve(1.0, 2.0, 3.0, 4.0), StepMarks(last=4, best=2), "k", dots=True))
    assert 'class="band"' not in text
    assert re.findall(r'<circle class="(\w+)"', text) == ["dot", "best", "dot", "dot", "dot"]
    assert re.findall(r'class="dot"[^>]* r="([\d.]+)"', text) == ["2.2", "4", "2.2", "4"]
    titles = ["step 1: 1", "step 2, best: 2", "step 3: 3", "step 4, last: 4"]
    assert re.findall(r"<title>(.*?)</title>", text) == titles
    ticks = re.findall(r'<text x="([\d.]+)" y="\d+" text-anchor="\w+">([01234])</text>', text)
    wanted = [(LEFT + (RIGHT - LEFT) * step / 4, str(step)) for step in range(5)]
    assert [(float(x), word) for x, word in ticks] == wanted


def test_a_thinned_curve_is_a_running_mean_between_the_extremes() -> None:
    values = np.arange(1.0, 11.0)
    values[[3, 9]] = np.nan, np.inf
    found = thin(values, most=3)
    assert (found.steps.tolist(), found.low.tolist(), found.high.tolist()) == ([1.5, 4.5, 8.0], [1, 3, 7], [2, 6, 9])
    short_one = thin(values)  # is drawn as it is
    finite = [v for v in values if math.isfinite(v)]
    assert short_one.mean.tolist() == short_one.low.tolist() == short_one.high.tolist() == finite
    assert short_one.steps.tolist() == finite
    assert [len(part) for part in thin(np.full(4, np.nan))] == [0, 0, 0, 0]
    wide = np.random.default_rng(1).gamma(2, 1, 54_321)
    wide[[0, 12_345, 54_320]] = 999, -7, 1234
    many = thin(wide)
    assert len(many.steps) == MAX_POINTS
    assert (many.high[0], many.low.min(), many.high[-1]) == (999, -7, 1234)
    spike = np.zeros(2000)
    spike[1000] = 1
    width = window_of(2000) // 2 * 2 + 1  # as many steps on either side
    wanted = [1 / width if abs(i - 1000) <= width // 2 else 0 for i in range(2000)]
    assert thin(spike, most=2000).mean.tolist() == pytest.approx(wanted)


def test_figures_and_steps_are_short() -> None:
    scores = {2.0: "2.00", -2.5: "-2.50", 1.99999: "2.0000", 0.12345: "0.1235", 31.416: "31.42"}
    assert {value: figure(value) for value in scores} == scores
    steps = {50_000: "50k", 12_500: "12.5k", 9_999: "9,999", 500: "500"}
    assert {step: short(step) for step in steps} == steps


DREAM = {"frames": 90, "nn": 21.0, "drift": 3.0, "sharpness": 0.8, "m1": 1.1, "m4": 0.9, "uniq": 12, "uniq_real": 40}


def rollout(scores: dict[str, Any], *numbers: int) -> str:
    """The part of a report that shows a rollout."""
    dreamt = RolloutSummary(scores, [(number, np.zeros((2, 2, 3), np.uint8)) for number in numbers])
    [found] = re.findall(r'<section id="dream">.*?</section>', render(TrainingReport("t", rollout=dreamt)), re.DOTALL)
    return str(found)


def test_a_rollout_is_shown_with_its_frames_and_scores() -> None:
    told = rollout(DREAM, 1, 90)
    assert re.findall(r'src="data:.*?" alt="(.*?)"', told) == ["frame 1", "frame 90"]
    assert "90 frames, each predicted from the model's own frames before it" in told
    values = re.findall(r"<dt>(.*?)</dt><dd>(.*?) <small>(.*?)</small>", told)
    assert [name for name, *_ in values] == [words.name for words in ROLLOUT_LABELS.values()]
    assert [value for _, value, _ in values] == ["21.00", "3.00", "0.8000", "1.1000", "0.9000", "12 of 40"]
    assert values[0][2] == "dB"
    assert "frames ahead" not in told


def test_a_rollout_is_compared_with_the_frames_that_really_follow_where_these_are_known() -> None:
    told = rollout(DREAM | {"horizons": {1: 30.0, 10: 20.5}, "copy_last": {1: 25.0, 10: 18.25}})
    rows = re.findall(r"<tr>(.*?)</tr>", told)
    cells = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in rows]
    assert cells == [
        ["frames ahead", "1", "10"],
        ["the model", "30.00", "20.50"],
        ["the last frame, copied", "25.00", "18.25"],
    ]
