"""``vidtrans stylize --mask man=… --region man=ink``: looks for parts of the picture, in one pass."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, pictures_of, write_folder
from directed_clip import EXACT, FLAGS, PICTURES, Frames, lossless, same
from made_models import make_grade, make_model

import vidtrans as api
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Progress, Stop

pytestmark = pytest.mark.usefixtures("one_thread")
Capsys = pytest.CaptureFixture[str]
COUNT, SIZE = 16, (64, 48)
MASKS = ("--mask", "man=man.mkv", "--mask", "car=car.mkv")
BOTH = (*MASKS, "--region", "man=lines", "--region", "car=tone")
WINDOW: dict[str, Any] = {**EXACT, "temporal": {"name": "window", "radius": 2}}
INLINE = ("--executor", "inline")


def things() -> tuple[Frames, Frames]:
    """The mattes of a disc that moves and of a box that it passes behind; they share a soft border."""
    men, cars = Frames(), Frames()
    for i in range(COUNT):
        man, car = np.zeros((2, SIZE[1], SIZE[0]), np.float32)
        cv2.circle(man, (12 + 2 * i, 20), 10, 1.0, -1)
        cv2.rectangle(car, (36, 8), (54, 40), 1.0, -1)
        man, car = (cv2.GaussianBlur(each, (0, 0), 1.5) for each in (np.where(car > 0, 0, man), car))
        men.append(_grey(man))
        cars.append(_grey(car))
    return men, cars


def _grey(matte: np.ndarray) -> np.ndarray:
    return np.dstack([np.rint(255 * matte).astype(np.uint8)] * 3)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip, its mattes, and models ``lines``, ``tone``, ``dark``, with their renders and the cache of these."""
    folder = tmp_path_factory.mktemp("regions")
    make_model(str(folder / "lines.safetensors"), "edges", seed=1)
    make_model(str(folder / "tone.safetensors"), "aligned", seed=2)
    make_grade(str(folder / "dark.cube"))
    lossless(folder / "c.mkv", moving_frames(COUNT))
    for name, frames in zip(("man", "car"), things(), strict=True):
        lossless(folder / f"{name}.mkv", frames)
    for model in ("lines", "tone"):
        file = folder / f"{model}.safetensors"
        api.stylize(folder / "c.mkv", file, folder / f"{model}.mkv", settings=EXACT, cache_dir=folder / ".vidtrans")
    return folder


@pytest.fixture(autouse=True)
def files(prepared: Path) -> None:
    shutil.copytree(prepared, Path(), dirs_exist_ok=True)


def frames(path: str) -> Frames:
    return decode(Path(path))[2]


def expected(rest: Frames, layers: Sequence[tuple[Frames, Frames]]) -> Frames:
    """Compute the result of regions with integers; ``layers``: (mattes, look), the lowest first."""
    made = []
    for i, below in enumerate(rest):
        left = np.full(below.shape[:2], 255)
        total = np.zeros(below.shape, int)
        for mattes, look in reversed(layers):
            share = np.minimum(mattes[i][..., 0], left)
            left = left - share
            total += share[..., None] * look[i].astype(int)
        made.append((total + left[..., None] * below.astype(int)) / 255)
    return [np.rint(picture) for picture in made]


def rendered(*flags: object, capsys: Capsys) -> Frames:
    said(capsys, 0, "stylize", "c.mkv", *flags, "-o", "o.mkv", *FLAGS, "--overwrite")
    return frames("o.mkv")


def test_each_region_has_its_look_and_the_rest_is_kept(capsys: Capsys) -> None:
    men, cars = things()
    for model in ("lines", "tone"):
        said(capsys, 0, "stylize", "c.mkv", "--model", model, "-o", f"alone/{model}.mkv", *FLAGS)
    table = said_json(capsys, "stylize", "c.mkv", *BOTH, "-o", "o.mkv", *FLAGS)
    made, source = frames("o.mkv"), frames("c.mkv")
    assert same(made, expected(source, [(men, frames("lines.mkv")), (cars, frames("tone.mkv"))]), within=1)
    outside = [np.maximum(man, car)[..., 0] == 0 for man, car in zip(men, cars, strict=True)]
    assert all(np.array_equal(m[o], s[o]) for m, s, o in zip(made, source, outside, strict=True))
    assert [(Path(r["mask"]).name, r["model"]) for r in table["regions"]] == [("man.mkv", "lines"), ("car.mkv", "tone")]
    assert table["frames_inferred"] == 0  # both were rendered alone: their raw outputs are in the cache
    assert said_json(capsys, "stylize", "c.mkv", *BOTH, "-o", "o.mkv", *FLAGS)["cached"] is True


def test_the_rest_has_a_look_and_a_region_can_be_kept(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    men, cars = things()
    lines, tone, source = (frames(f"{name}.mkv") for name in ("lines", "tone", "c"))
    made = rendered(*MASKS, "--region", "man=keep", "--region", "car=tone", "--rest", "lines", capsys=capsys)
    assert same(made, expected(lines, [(men, source), (cars, tone)]), within=1)
    made = rendered("--mask", "man=man.mkv", "--region", "not:man=tone", capsys=capsys)
    assert same(made, expected(source, [([255 - m for m in men], tone)]), within=1)
    assert same(made, rendered("--mask", "man=not:man.mkv", "--region", "man=tone", capsys=capsys))
    assert same(made, rendered("--mask", "not:man.mkv", "--model", "tone", capsys=capsys))
    monkeypatch.setenv("VIDTRANS_STYLIZE_MASK", "not:man.mkv")  # variables hold masks with colons
    assert same(made, rendered("--model", "tone", capsys=capsys))


@pytest.mark.thorough
def test_later_regions_lie_over_earlier_ones_and_a_look_may_be_used_twice(capsys: Capsys) -> None:
    men, cars = things()
    wide = [np.maximum(man, car) for man, car in zip(men, cars, strict=True)]
    lossless(Path("wide.mkv"), wide)
    masks = ("--mask", "wide=wide.mkv", "--mask", "car=car.mkv")
    lines, tone, source = (frames(f"{name}.mkv") for name in ("lines", "tone", "c"))
    over = rendered(*masks, "--region", "wide=lines", "--region", "car=tone", capsys=capsys)
    assert same(over, expected(source, [(wide, lines), (cars, tone)]), within=1)
    under = rendered(*masks, "--region", "car=tone", "--region", "wide=lines", capsys=capsys)
    assert same(under, expected(source, [(cars, tone), (wide, lines)]), within=1)
    assert not same(over, under, within=8)


def test_nothing_of_the_rest_shines_through_where_soft_edges_meet(capsys: Capsys) -> None:
    ramp = np.tile(np.linspace(0, 255, SIZE[0]).astype(np.uint8), (SIZE[1], 1))
    write_folder(Path(), [np.dstack([ramp] * 3)], ["left.png"])
    write_folder(Path(), moving_frames(1), ["a.png"])
    flags = ("--mask", "l=left.png", "--mask", "r=not:left.png", "--region", "l=dark.cube", "--region", "r=dark.cube")
    said(capsys, 0, "stylize", "a.png", *flags, "-o", "both.png", *PICTURES)
    said(capsys, 0, "stylize", "a.png", "--model", "dark.cube", "-o", "one.png", *PICTURES)
    assert np.array_equal(*(pictures_of(Path(f"{name}.png"))[f"{name}.png"] for name in ("both", "one")))


def test_each_region_has_its_own_filter() -> None:
    men, cars = things()
    for model in ("lines", "tone"):
        api.stylize("c.mkv", model, f"{model}.f.mkv", settings=WINDOW)
    regions = {"mask": ["man=man.mkv", "car=car.mkv"], "region": ["man=lines", "car=tone"]}
    api.stylize("c.mkv", output="whole.mkv", settings=WINDOW, **regions)
    wanted = expected(frames("c.mkv"), [(men, frames("lines.f.mkv")), (cars, frames("tone.f.mkv"))])
    assert same(frames("whole.mkv"), wanted, within=1)
    stop = Stop()

    def report(event: object) -> None:
        if isinstance(event, Progress) and event.task.startswith("rendering") and event.done == 11:
            stop.request()

    with pytest.raises(Interrupted):
        api.stylize("c.mkv", output="o.mkv", settings=WINDOW, cache_dir="k", report=report, stop=stop, **regions)
    table = api.stylize("c.mkv", output="o.mkv", settings=WINDOW, cache_dir="k", **regions)
    assert 0 < table["frames_encoded"] < COUNT
    assert Path("o.mkv").read_bytes() == Path("whole.mkv").read_bytes()


def test_a_region_takes_a_chain_a_picture_and_a_medium(capsys: Capsys) -> None:
    one = ("--mask", "car=car.mkv")
    chain = rendered(*one, "--region", "car=tone", "--region", "car=dark.cube", capsys=capsys)
    assert same(chain, rendered("--mask", "car.mkv", "--model", "tone", "--model", "dark.cube", capsys=capsys))
    write_folder(Path(), [moving_frames(1, size=(64, 64))[0]], ["paint.png"])
    made = rendered(*one, "--region", "car=paint.png", "--rest", "lines", capsys=capsys)
    look = rendered("--look", "paint.png", capsys=capsys)
    assert same(made, expected(frames("lines.mkv"), [(things()[1], look)]), within=1)
    said(capsys, 0, "stylize", "c.mkv", *one, "--region", "car=pencil", "--end", "2")
    assert Path("c.pencil.mp4").exists()


def test_a_list_names_regions_for_each_clip(capsys: Capsys) -> None:
    Path("list.toml").write_text(
        '[[clips]]\nsource = "c.mkv"\noutput = "a.mkv"\nmask = { man = "man.mkv", car = "car.mkv" }\n'
        'region = { man = "lines", car = ["tone", "dark.cube"] }\nrest = "keep"\n'
        '[[clips]]\nsource = "c.mkv"\noutput = "b.mkv"\nmodel = "tone"\nmask = "not:car.mkv"\n'
    )
    said(capsys, 0, "stylize", "list.toml", "-o", "made", *FLAGS, *INLINE)
    for extra, text in (('rest = "tone"', "it has no region"), ("mask = 3", "it must be text")):
        Path("bad.toml").write_text(f'[[clips]]\nsource = "c.mkv"\nmodel = "tone"\n{extra}\n')
        assert text in refuse(capsys, 2, "stylize", "bad.toml", "-o", "bad")
    for flags in (("--model", "tone"), ("--mask", "car.mkv"), ("--look", "oil")):
        text = refuse(capsys, 2, "stylize", "list.toml", *flags, "-o", "bad")
        assert "each of its regions names its own" in text
    write_folder(Path("sub"), [moving_frames(1, size=(64, 64))[0]], ["own.png"])
    shutil.copy("car.mkv", "sub/car.mkv")
    Path("sub/l.toml").write_text(
        '[[clips]]\nsource = "../c.mkv"\noutput = "s.mkv"\nmask = { car = "car.mkv" }\nregion = { car = "own.png" }\n'
    )
    said(capsys, 0, "stylize", "sub/l.toml", "-o", "made", *FLAGS, "--end", "1", *INLINE)
    chain = (*MASKS, "--region", "man=lines", "--region", "car=tone", "--region", "car=dark.cube")
    assert same(frames("made/a.mkv"), rendered(*chain, capsys=capsys))
    assert same(frames("made/b.mkv"), rendered("--mask", "not:car.mkv", "--model", "tone", capsys=capsys))


def test_a_dry_run_and_scores_count_all_looks(capsys: Capsys) -> None:
    command = ("stylize", "c.mkv", *BOTH, *FLAGS, "-o")
    assert said_json(capsys, *command, "o.mkv", "--dry-run")["dry_run"]
    assert not Path("o.mkv").exists()
    assert said_json(capsys, *command, "o.mkv", "--score", "--end", "6")["score"]["verdict"]
    assert said_json(capsys, *command, "d.mkv", "--draft", "3")["frames_spared"] > COUNT


def test_what_is_no_region_is_refused_in_a_line(capsys: Capsys) -> None:
    make_model("hole.safetensors", "inpaint")
    make_model("large.safetensors", "enlarge", {"factor": 2})
    man = ("--mask", "man=man.mkv")
    for flags, status, text in (
        ((*man, "--region", "men=lines"), 2, "did you mean 'man'?"),
        (("--mask", "man.mkv", "--region", "man=lines"), 2, "write --mask NAME=FILE"),
        ((*MASKS, "--region", "man=lines"), 2, "--mask car=…: no region has it — add --region car=MODEL"),
        ((*man, "--mask", "man=car.mkv", "--region", "man=lines"), 2, "'man' was given twice"),
        ((*MASKS, "--model", "lines"), 2, "give a look to each: --region NAME=MODEL"),
        ((*BOTH, "--model", "lines"), 2, "give the look of all else as --rest"),
        ((*BOTH, "--look", "oil"), 2, "give the look of all else as --rest"),
        (("--model", "lines", "--rest", "tone"), 2, "--rest: there is no --region"),
        ((*man, "--region", "man"), 2, "write --region NAME=MODEL"),
        ((*man, "--region", "man=keep", "--region", "man=lines"), 2, "give one of them"),
        ((*man, "--region", "man=nowhere"), 3, "no model of this name"),
        (("--mask", "man=no.mkv", "--region", "man=lines"), 3, "no.mkv: no such file"),
        (("--mask", "man=", "--region", "man=lines"), 2, "it names no file"),
        ((*man, "--region", "man=hole"), 2, "its input has a mask of its own"),
        ((*man, "--region", "man=large"), 2, "it makes pictures of 128x96, and the rest is 64x48"),
    ):
        assert text in refuse(capsys, status, "stylize", "c.mkv", *flags, "-o", "x.mkv")
    write_folder(Path("in"), [moving_frames(1, size=size)[0] for size in ((64, 48), (48, 48))])
    text = refuse(capsys, 2, "stylize", "in", *man, "--region", "man=lines", "-o", "out")
    assert "render each look with its own --mask" in text


def test_alpha_of_pictures_stays(capsys: Capsys) -> None:
    alpha = np.tile(np.linspace(0, 255, SIZE[0]).astype(np.uint8), (SIZE[1], 1))
    pictures = [np.dstack([picture, alpha]) for picture in moving_frames(3)]
    write_folder(Path("m"), things()[1][:3])
    Path("in").mkdir()
    for i, picture in enumerate(pictures):
        cv2.imwrite(f"in/{i}.png", picture)
    said(capsys, 0, "stylize", "in", "--mask", "m=m", "--region", "m=tone", "-o", "out", *PICTURES)
    made = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(Path("out").glob("*.png"))]
    assert [picture.shape[2] for picture in made] == [4] * 3
    assert all(np.array_equal(picture[..., 3], alpha) for picture in made)
