"""``stylize --score``: a render scored against the very pictures that it is made of."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import said_json
from clips import decode, scene, write_folder
from directed_clip import Frames, lossless
from oddities import cut_outs, write_frames
from PIL import Image

import vidtrans as api
from vidtrans.core.errors import Interrupted, VidtransError
from vidtrans.core.events import Event, Progress, Stop
from vidtrans.store.cache import Cache
from vidtrans.store.cache_entry import CacheEntry

Capsys = pytest.CaptureFixture[str]
Hold = Callable[[CacheEntry], Callable[[Event], None]]
COUNT = 16
BASE = Fraction(1, 15360)
# Nothing is changed and nothing is filtered: what is scored is what it is scored against.
PLAIN = ("--model", "identity", "--size", "source", "--temporal", "off")
EXACT = {"psnr": 99, "sharpness": 1, "ratio": 1}


def panned(count: int = COUNT, size: tuple[int, int] = (96, 72)) -> Frames:
    """A texture that moves 3 pixels a frame: no frame can stand for another."""
    wide = np.clip(scene(size[0] + 3 * count, size[1], 3), 40, 200)
    return [np.ascontiguousarray(wide[:, 3 * i : 3 * i + size[0]]) for i in range(count)]


def scored(capsys: Capsys, *arguments: object) -> dict[str, Any]:
    table = said_json(capsys, "stylize", *arguments, "--score")
    made: dict[str, Any] = table["score"]
    assert Path(made["output"]).is_file()
    return made


def exact(table: dict[str, Any]) -> None:
    assert {k: table[k] for k in EXACT} == EXACT
    assert table["warping_error"] == table["warping_error_source"] == table["warping_error_per_frame"]


def see_through(kind: str) -> Path:
    """Cut-outs with soft edges, as a video or as pictures."""
    frames = cut_outs(6, (96, 72))
    if kind == "video":
        return write_frames(Path("a.mkv"), frames, "ffv1", "bgra")
    Path("a").mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame, "RGBA").save(f"a/{number}.png")
    return Path("a")


@pytest.mark.parametrize("kind", ["video", "pictures"])
@pytest.mark.parametrize(("codec", "output"), [("ffv1", "o.mkv"), ("png", "o")])
def test_what_is_transparent_lies_on_one_ground(codec: str, output: str, kind: str, capsys: Capsys) -> None:
    """Pictures are read on white and videos on black; source, render and per-frame pictures alike."""
    exact(scored(capsys, see_through(kind), *PLAIN, "--codec", codec, "-o", output))


def test_clips_beside_a_render_lie_on_its_ground() -> None:
    video, pictures = see_through("video"), see_through("pictures")
    for output, other in ((video, pictures), (pictures, video)):
        exact(api.evaluate(output, other, per_frame=other))


def uneven(count: int = COUNT) -> list[int]:
    """Times of 24 a second on average: some frames come in a bunch, and others stay for long."""
    step = int(1 / (24 * BASE))
    return [i * step - step * (0, 7, 14, 0)[i % 4] // 10 for i in range(count)]


CASES: dict[str, tuple[dict[str, Any], tuple[object, ...], int]] = {
    "as many, moved": ({"pts": uneven(), "time_base": BASE}, ("--fps", 24), COUNT),
    "as many of a part": ({"rate": 24}, ("--fps", 48, "--end", COUNT // 2), COUNT),
    "half of them": ({"rate": 24}, ("--fps", 12), COUNT // 2),
    "a part": ({"rate": 24}, ("--start", 5, "--end", 12), 7),
    "as they are": ({"rate": 24}, (), COUNT),
}


@pytest.mark.parametrize("case", CASES)
def test_each_frame_is_scored_against_the_one_that_it_shows(case: str, capsys: Capsys) -> None:
    options, flags, count = CASES[case]
    frames = panned()
    lossless(Path("c.mp4"), frames, **options)
    table = scored(capsys, "c.mp4", *PLAIN, "--codec", "ffv1", "-o", "o.mkv", *flags)
    assert table["frames"] == count
    made = decode(Path("o.mkv"))[2]
    steps = [next(i for i, frame in enumerate(frames) if np.array_equal(frame, shown)) for shown in made]
    assert (steps == list(range(COUNT))) == (case == "as they are")
    assert steps == sorted(steps)
    exact(table)


def test_a_gif_that_drops_frames_is_scored(capsys: Capsys) -> None:
    """It cannot show a frame for less than 2 centiseconds."""
    lossless(Path("fast.mp4"), panned(), rate=100, time_base=Fraction(1, 10000))
    table = scored(capsys, "fast.mp4", *PLAIN, "--codec", "gif", "-o", "o.gif")
    assert table["frames"] == COUNT // 2
    assert table["compared_with"] is None
    assert table["warping_error"] > table["warping_error_source"]


def raw_entries() -> list[Any]:
    return [e for e in Cache(Path(".vidtrans"), lambda _: None).entries() if e.stage == "infer"]


def is_free(entry: Any) -> bool:
    try:
        with entry.locked(wait_s=0):
            return True
    except VidtransError:
        return False


class Scoring:
    """The score of a render whose raw outputs are lost, so that they are written again. ``stop_at``: after so many."""

    def __init__(self, model: Path, stop_at: int | None = None) -> None:
        lossless(Path("c.mp4"), panned(size=(64, 48)))
        self.model, self.stop_at, self.stop = model, stop_at, Stop()
        self.settings = {"rendering": {"chunk_frames": 4}, "encoding": {"codec": "ffv1"}}
        api.stylize("c.mp4", model, "o.mkv", settings=self.settings)
        (self.entry,) = raw_entries()
        self.entry.clear()
        self.free: list[bool] = []

    def run(self) -> Any:
        more = {"score": True, "report": self._report, "stop": self.stop}
        return api.stylize("c.mp4", self.model, "o.mkv", settings=self.settings, **more)  # type: ignore[arg-type]

    def _report(self, event: Event) -> None:
        if isinstance(event, Progress) and event.task.startswith("scoring"):
            self.free.append(is_free(self.entry))
            if event.done == self.stop_at:
                self.stop.request(130)


def test_a_models_pictures_are_locked_while_they_are_read_and_let_go_of_after(tiny_model: Path) -> None:
    scoring = Scoring(tiny_model)
    assert scoring.run()["score"]["frames"] == COUNT
    assert len(list(scoring.entry.folder.glob("*.nut"))) == COUNT // 4
    assert set(scoring.free) == {False}
    assert is_free(scoring.entry)


def test_a_models_pictures_are_let_go_of_when_scoring_is_stopped(tiny_model: Path) -> None:
    scoring = Scoring(tiny_model, stop_at=6)
    with pytest.raises(Interrupted) as held:  # and with it all that was at work
        scoring.run()
    assert held.tb is not None
    assert is_free(scoring.entry)
    assert not Path("o.score.png").exists()
    assert len(list(scoring.entry.folder.glob("*.nut"))) in range(1, COUNT // 4 + 1)  # those that were whole
    assert set(scoring.free) == {False}


def test_pictures_that_another_run_holds_are_waited_for(tiny_model: Path, held_by_another_run: Hold) -> None:
    scoring = Scoring(tiny_model)
    scoring.run()
    [entry] = raw_entries()
    Path("o.score.png").unlink()
    report = held_by_another_run(entry)
    assert "score" in api.stylize("c.mp4", tiny_model, "o.mkv", settings=scoring.settings, score=True, report=report)


def test_folders_of_pictures_are_scored(capsys: Capsys) -> None:
    write_folder(Path("in"), panned())
    exact(scored(capsys, "in", *PLAIN, "-o", "out"))
    assert Path("out.score.png").is_file()
