"""The training report: one file, true to what it is told, and the same every time."""

from __future__ import annotations

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

from vidtrans.training import Label
from vidtrans.training import training_page as report_module
from vidtrans.training.training_page import (
    BOTTOM,
    MAX_FILM_FRAMES,
    MAX_POINTS,
    LossCurve,
    LossPanel,
    RolloutSummary,
    StepMarks,
    TrainingReport,
    film_steps,
    render,
    resample_curve,
    write_report,
)
from vidtrans.training.training_words import ROLLOUT_LABELS

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
    page = Page(render(a_report(warnings=[], sheets=[], facts={"from": None}, scores=[], best=None)))
    assert [word for word in ("Warnings", "Previews", "The run", "Held-out scores", "None") if word in page.text] == []
    assert "Losses" not in Page(render(a_report(scores=[], best=None, columns=[], rows=[]))).text
    assert "no step yet" in Page(render(TrainingReport("nothing"))).text


def test_all_text_is_escaped() -> None:
    scores = [(10, {"psnr": 20.0, NASTY: 1.0})]
    report = a_report(title=NASTY, facts={NASTY: NASTY}, warnings=[(5, NASTY)], scores=scores, best=10)
    page = Page(render(report))
    assert [a.get("type") for a in page.all("script")] == ["application/json", None]
    assert page.text.count("alert(1)") >= 5
    assert page.text.startswith(NASTY)


def test_it_stays_small_and_is_the_same_bytes_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FILM_BYTES", "SHEET_BYTES"):
        monkeypatch.setattr(report_module, name, 300_000)
    rng = np.random.default_rng(0)
    film = [(s, rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for s in range(1, MAX_FILM_FRAMES + 40)]
    sheets = [(s, rng.integers(0, 256, (200, 150, 3), dtype=np.uint8)) for s in range(8)]
    report = a_report(film=film, sheets=sheets, rows=rng.random((20_000, 4)).tolist())
    for path in (tmp_path / "deep" / "report.html", tmp_path / "b.html"):
        write_report(path, report)
    text = (tmp_path / "b.html").read_text("utf-8")
    assert (tmp_path / "deep" / "report.html").read_text("utf-8") == text
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["b.html", "deep", "report.html"]
    assert len(text.encode()) < 2 * 300_000 * 4 / 3 + 500_000
    frames = json.loads(re.findall(r'id="frames">(.*?)</script>', text)[0])
    assert len(frames["steps"]) == len(frames["pictures"]) == MAX_FILM_FRAMES
    assert (frames["steps"][0], frames["steps"][-1]) == (1, MAX_FILM_FRAMES + 39)


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


@pytest.mark.thorough
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


def test_a_thinned_curve_is_a_running_mean_between_the_extremes() -> None:
    values = np.arange(1.0, 11.0)
    values[[3, 9]] = np.nan, np.inf
    found = resample_curve(values, most=3)
    assert (found.steps.tolist(), found.low.tolist(), found.high.tolist()) == ([1.5, 4.5, 8.0], [1, 3, 7], [2, 6, 9])
    assert [len(part) for part in resample_curve(np.full(4, np.nan))] == [0, 0, 0, 0]
    wide = np.random.default_rng(1).gamma(2, 1, 54_321)
    wide[[0, 12_345, 54_320]] = 999, -7, 1234
    many = resample_curve(wide)
    assert len(many.steps) == MAX_POINTS
    assert (many.high[0], many.low.min(), many.high[-1]) == (999, -7, 1234)


DREAM = {"frames": 90, "nn": 21.0, "drift": 3.0, "sharpness": 0.8, "m1": 1.1, "m4": 0.9, "uniq": 12, "uniq_real": 40}


def rollout(scores: dict[str, Any], *numbers: int) -> str:
    dreamt = RolloutSummary(scores, [(number, np.zeros((2, 2, 3), np.uint8)) for number in numbers])
    [found] = re.findall(r'<section id="dream">.*?</section>', render(TrainingReport("t", rollout=dreamt)), re.DOTALL)
    return str(found)


def test_a_rollout_is_shown_with_its_frames_and_scores_beside_those_of_a_frame_that_is_copied() -> None:
    told = rollout(DREAM, 1, 90)
    assert re.findall(r'src="data:.*?" alt="(.*?)"', told) == ["frame 1", "frame 90"]
    assert "90 frames, each predicted from the model's own frames before it" in told
    values = re.findall(r"<dt>(.*?)</dt><dd>(.*?) <small>(.*?)</small>", told)
    assert [name for name, *_ in values] == [words.name for words in ROLLOUT_LABELS.values()]
    assert [value for _, value, _ in values] == ["21.00", "3.00", "0.8000", "1.1000", "0.9000", "12 of 40"]
    assert values[0][2] == "dB"
    assert "frames ahead" not in told
    told = rollout(DREAM | {"horizons": {1: 30.0, 10: 20.5}, "copy_last": {1: 25.0, 10: 18.25}})
    cells = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", told)]
    assert cells[1:] == [["the model", "30.00", "20.50"], ["the last frame, copied", "25.00", "18.25"]]


def test_a_panel_tells_its_unit_its_scale_and_its_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(unit: str, values: list[float], steps: int, kind: str, first: int = 1) -> str:
        found = np.array(values)
        curve = LossCurve(first + np.arange(len(found), dtype=float), found, found, found)
        panel = LossPanel(Label("a", "c", unit), curve, StepMarks(steps), kind, dots=kind == "score")
        monkeypatch.setattr(report_module, "_loss_panels", lambda report: [panel])
        return re.findall(r'<figure class="panel.*?</figure>', render(TrainingReport("t")), re.DOTALL)[0]

    plain = drawn("", [1.0, 2.0], 20, "loss")
    assert "<small></small>" in plain
    assert plain.count('class="note"') == 1  # "steps"
    anchors = re.findall(rf'<text x="[0-9.]+" y="{BOTTOM + 17}" text-anchor="(\w+)">(\w+)</text>', plain)
    assert anchors == [*(("middle", str(step)) for step in (0, 5, 10, 15)), ("end", "20")]
    told = drawn("dB", [1.0, 2000.0], 20, "loss")
    assert "<small>log scale</small>" in told
    assert told.count('class="note"') == 2
    assert ">dB</text>" in told
    assert 'data-last="1"' in drawn("", [0.0], 0, "score", first=0)  # one score before the first step
