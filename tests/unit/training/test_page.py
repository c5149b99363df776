"""The training report: one file, true to what it is told, and the same every time."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vidtrans.training.report import page as report_module
from vidtrans.training.report.curves import BOTTOM, MAX_POINTS, TOP, LossCurve, axis_for, thin
from vidtrans.training.report.page import (
    FILM_BYTES,
    MAX_FILM,
    SHEET_BYTES,
    TrainingReport,
    film_steps,
    render,
    write_report,
)

NAMES = ("input", "output", "target")
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


def test_a_page_of_one_file_that_asks_for_nothing() -> None:
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


def test_what_is_told_is_in_it() -> None:
    page = Page(render(a_report()))
    for words in ("How the model of dog.mp4 learned", "2,000 steps", "best at step 1,500", "On 8 pairs", "dog.dataset"):
        assert words in page.text
    assert "Step 700 the discriminator has won" in page.text
    assert "mystery" in page.text  # a score that came later has no words of its own, and is drawn
    assert "SSIM" not in page.text  # pictures were too small for it
    assert "None" not in page.text
    assert len(page.all("circle", "best")) == 4
    assert "a draw" in page.text


def test_a_page_of_a_plain_run_has_nothing_but_what_there_is() -> None:
    text = render(a_report(warnings=[], sheets=[], facts={"from": None}, scores=[], best=None))
    page = Page(text)
    assert not page.all("section", "warnings")
    assert [word for word in ("Warnings", "Previews", "The run", "Held-out scores") if word in page.text] == []
    assert text.count("<section") == text.count("<h2")  # of the film, and of the losses
    assert not re.search(r"</(section|p|dl)>\s*\w", text)  # nothing is told outside of a section
    assert "None" not in page.text


def test_a_score_that_is_lacking_leaves_the_others() -> None:
    scores = [(s, {"l1": 0.1 * s, "ssim": 0.5 if s == 2 else None, "sharpness": 0.5 + s}) for s in (1, 2)]
    text = render(a_report(scores=scores, best=1))
    assert [words for words in ("L1", "SSIM", "Sharpness") if f"<dt>{words}</dt>" in text] == ["L1", "Sharpness"]
    assert len(re.findall(r"<td><b>", text)) == 3  # the best of each


def test_losses_that_are_no_numbers_are_told_beside_the_rest() -> None:
    rows = [[1.0, 1.0, 1.0, 1.0]] * 9 + [[1.0, float("nan"), 1.0, 1.0]]
    text = Page(render(a_report(rows=rows, scores=[], best=None))).text
    assert "Unweighted, on the training pictures." in text
    assert "A red line marks a warning. Left out, for a value that is not a number: 1 of 10 steps." in text
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


def test_thinning_keeps_the_extremes() -> None:
    values = np.random.default_rng(1).gamma(2, 1, 54_321)
    values[[0, 12_345, 54_320]] = 999, -7, 1234
    curve = thin(values)
    assert len(curve.steps) == MAX_POINTS
    assert (np.diff(curve.steps) > 0).all()
    assert 1 <= curve.steps[0] <= curve.steps[-1] <= len(values)
    assert curve.high[0] == 999
    assert curve.low.min() == -7
    assert curve.high[-1] == 1234
    edges = np.linspace(0, len(values), MAX_POINTS + 1).astype(int)
    at = np.searchsorted(edges, 12_345, side="right") - 1
    assert curve.low[at] == -7
    assert abs(float(np.median(curve.mean)) - 2) < 0.2


def test_a_short_history_is_drawn_as_it_is() -> None:
    curve = thin(np.array([3.0, 1.0, 2.0]))
    assert curve.steps.tolist() == [1, 2, 3]
    assert curve.mean.tolist() == curve.low.tolist() == curve.high.tolist() == [3, 1, 2]


def test_what_is_no_number_is_left_out_and_told() -> None:
    curve = thin(np.array([1.0, np.nan, 3.0, np.inf]))
    assert curve.steps.tolist() == [1, 3]
    text = Page(render(a_report(rows=[[1.0, 1.0, 1.0, 1.0], [float("nan"), 1.0, 1.0, 1.0]]))).text
    assert "Left out, for a value that is not a number: 1 of 2 steps" in text
    assert "nan" not in text


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [-3.0, 9.0], [1e-6, 2.0, 1e3], [0.0, 1e-9], [1e-300, 1.0]])
def test_an_axis_holds_its_curve(values: list[float]) -> None:
    ys = np.array(values)
    curve = LossCurve(np.arange(1.0, len(ys) + 1), ys, ys, ys)
    for from_zero in (False, True):
        axis = axis_for(curve, 0.5, from_zero)
        places = axis.place(ys)
        assert ((places >= TOP - 1e-6) & (places <= BOTTOM + 1e-6)).all()
        assert 1 <= len(axis.ticks()) <= 12
    assert axis_for(curve, from_zero=True).log == (values[0] > 0 and max(values) > 100 * min(values))


def test_nothing_yet_and_nearly_nothing() -> None:
    assert "no step yet" in Page(render(TrainingReport("nothing"))).text
    one = TrainingReport("one", columns=["l1"], rows=[[0.5]], scores=[(1, {"psnr": 12.0})], film=[(1, picture())])
    assert "one 1 step ·" in Page(render(one)).text
    flat = a_report(rows=[[0.0, 0.1, 0.0, 0.1]] * 50, scores=[(0, {"psnr": None})], film=[], best=None)
    page = Page(render(flat))
    assert len(page.all("figure", "panel")) == 2  # no discriminator
    assert not page.all("input")


def test_the_same_report_is_the_same_bytes(tmp_path: Path) -> None:
    write_report(tmp_path / "deep" / "report.html", a_report())
    write_report(tmp_path / "b.html", a_report())
    assert (tmp_path / "deep" / "report.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["b.html", "deep", "report.html"]


def test_it_stays_small() -> None:
    rng = np.random.default_rng(0)
    film = [(s, rng.integers(0, 256, (384, 384, 3), dtype=np.uint8)) for s in range(1, MAX_FILM + 40)]
    sheets = [(s, rng.integers(0, 256, (1500, 1200, 3), dtype=np.uint8)) for s in range(8)]
    report = a_report(film=film, sheets=sheets, rows=rng.random((20_000, 4)).tolist())
    text = render(report)
    assert len(text.encode()) < (FILM_BYTES + SHEET_BYTES) * 4 / 3 + 500_000
    frames = json.loads(re.findall(r'id="frames">(.*?)</script>', text)[0])
    assert len(frames["steps"]) == len(frames["pictures"]) == MAX_FILM
    assert (frames["steps"][0], frames["steps"][-1]) == (1, MAX_FILM + 39)


def rows_of(text: str) -> list[list[str]]:
    """The cells of the table of scores, with their marks."""
    [table] = re.findall(r'<div class="scroll"><table><thead>(.*?)</table>', text, re.DOTALL)
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)]
    return [[cell.replace("<i>", "").replace("</i>", "") for cell in row] for row in rows]


def test_the_table_has_all_scores_the_best_in_bold_and_names_the_best_and_the_last_state() -> None:
    scores: Any = [
        (10, {"l1": 0.5, "psnr": 20.0, "re_read": 3.0}),
        (20, {"l1": 0.25, "psnr": None, "re_read": 1.0}),
        (30, {"l1": 0.75, "psnr": 10.0, "re_read": 2.0}),
    ]
    assert rows_of(render(a_report(scores=scores, best=20))) == [
        ["step", "L1", "PSNR", "re read"],
        ["10", "0.5000", "<b>20.00</b>", "3.00"],  # of a score that came later it is not known which is the best
        ["best 20", "<b>0.2500</b>", "–", "1.0000"],
        ["last 30", "0.7500", "10.00", "2.00"],
    ]


@pytest.mark.parametrize(("count", "is_open"), [(12, True), (13, False)])
def test_a_long_table_of_scores_is_folded(count: int, is_open: bool) -> None:
    scores = [(step, {"l1": 0.5}) for step in range(1, count + 1)]
    [details] = Page(render(a_report(scores=scores, best=1))).all("details")
    assert ("open" in details) == is_open


@pytest.mark.parametrize(("best", "beside"), [(1500, "best state; last 22.00"), (2000, ""), (None, "")])
def test_scores_of_the_best_state_have_those_of_the_last_beside_them(best: int | None, beside: str) -> None:
    text = render(a_report(best=best))
    value = "21.50" if best == 1500 else "22.00"
    assert f"<dt>PSNR</dt><dd>{value} <small>dB</small></dd><dd><small>{beside}</small></dd>" in text
    assert f'aria-label="held-out scores of the {"last" if best is None else "best"} state"' in text


def test_sharpness_has_a_level_and_others_have_none() -> None:
    scores = [(s, {"psnr": 20.0, "sharpness": 0.5}) for s in (1, 2)]
    text = render(a_report(scores=scores, best=None, columns=[], rows=[]))
    panels = re.findall(r'<figure class="panel score">.*?</figure>', text, re.DOTALL)
    assert [("as sharp" in p, "Sharpness" in p) for p in panels] == [(False, False), (True, True)]


def test_each_loss_has_its_panel_and_only_the_discriminator_a_draw() -> None:
    text = render(a_report(scores=[], best=None))
    panels = re.findall(r'<figure class="panel (\w+)">(.*?)</figure>', text, re.DOTALL)
    assert [kind for kind, _ in panels] == ["gan", "l1", "discriminator", "other"]
    assert ["a draw" in drawn for _, drawn in panels] == [False, False, True, False]
    nothing = Page(render(a_report(scores=[], best=None, columns=[], rows=[])))
    assert "Losses" not in nothing.text


def shades(uri: str) -> np.ndarray:
    """The mean colour of a picture in the page, RGB."""
    data = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
    mean: np.ndarray = cv2.imdecode(data, cv2.IMREAD_COLOR).mean((0, 1))[::-1]
    return mean


def test_the_film_lies_between_the_input_and_the_target_and_begins_at_its_end() -> None:
    film = [(step, np.full((48, 64, 3), (200 - step, 10, step), np.uint8)) for step in (1, 50, 90)]
    report = a_report(film=film, input=np.full((48, 64, 3), 30, np.uint8), target=np.full((48, 64, 3), 220, np.uint8))
    text = render(report)
    page = Page(text)
    pictures = {image["alt"]: shades(str(image["src"])) for image in page.all("img") if image["alt"] in NAMES}
    assert list(pictures) == list(NAMES)
    assert [figure.get("class") for figure in page.all("figure")][:3] == list(NAMES)
    for name, colour in zip(NAMES, ((30, 30, 30), (110, 10, 90), (220, 220, 220)), strict=True):
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
    noise = [(n, rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)) for n in range(20)]

    def of(side: int, budget: int) -> tuple[list[tuple[int, ...]], int]:
        data = [base64.b64decode(uri.partition(",")[2]) for _, uri in report_module._data_uris(noise, side, budget)]
        shapes = [cv2.imdecode(np.frombuffer(d, np.uint8), cv2.IMREAD_COLOR).shape for d in data]
        return shapes, sum(map(len, data))

    whole, weight = of(200, 10**9)
    assert whole == [(200, 200, 3)] * 20
    assert of(100, 10**9)[0] == [(100, 100, 3)] * 20
    same, coarser = of(200, round(0.9 * weight))  # coarser first, and only then smaller
    assert same == whole
    assert 0.5 * weight < coarser <= 0.9 * weight
    smaller, light = of(200, weight // 8)
    assert smaller[0][0] < 200
    assert weight // 16 < light <= weight // 8
    tiny, _ = of(200, 1)  # the last try, whatever it weighs
    assert tiny == [(60, 60, 3)] * 20


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
