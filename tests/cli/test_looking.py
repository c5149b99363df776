"""Looking before rendering, and after: sheet, compare, try, doctor, and what they are drawn with."""

from __future__ import annotations

import errno
import json
import re
import signal
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from chain import TINY, refuse, said, said_json, snapshot, vidtrans, vidtrans_json, vidtrans_process
from clips import decode, moving_frames, scene, sound_packets, times, write_clip
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import vidtrans as api
from vidtrans.cli.main import run
from vidtrans.clips.sampling import spread_numbers
from vidtrans.commands import demo
from vidtrans.config.recipe import make_recipe
from vidtrans.core.errors import UsageError
from vidtrans.doctor import CHECKS, Verdict, examination
from vidtrans.doctor.subject import Scale, Subject
from vidtrans.inference import ENGINES
from vidtrans.models.model_file import COLOURS, companion_path, load_generator, save_grade
from vidtrans.rendering.settings_grid import parse_variations
from vidtrans.video.images.picture import read_picture, write_picture
from vidtrans.video.io.reader import ClipReader
from vidtrans.video.plots.layout import GAP, PAPER, TALLEST_CELL, ContactSheet, cell_size, fit, text_band

Capsys = pytest.CaptureFixture[str]
repeatable = hypothesis_settings(max_examples=25)


@repeatable
@given(st.text(max_size=60), st.integers(8, 300))
def test_a_band_of_text_is_as_wide_as_asked_whatever_it_says(text: str, width: int) -> None:
    band = text_band(text.replace("\n", " "), width)
    assert band.shape[1] == width
    assert band.shape == text_band("x", width).shape
    assert (text_band("a very long name of a very long clip indeed.mp4", 120)[:, -3:] == PAPER).all()  # an ellipsis


@repeatable
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 70), st.integers(1, 70))
def test_a_fitted_picture_keeps_its_proportion_and_touches_two_sides(w: int, h: int, bw: int, bh: int) -> None:
    box = fit(np.full((h, w, 3), 255, np.uint8), bw, bh)
    assert box.shape == (bh, bw, 3)
    inside = np.argwhere((box != PAPER).any(axis=2))
    height, width = np.ptp(inside, axis=0) + 1
    assert width == bw or height == bh
    assert abs(width * h - height * w) <= max(w, h)


def test_a_sheet_has_a_place_for_every_picture_and_leaves_missing_ones_empty() -> None:
    red = np.full((20, 30, 3), (200, 0, 0), np.uint8)
    drawn = ContactSheet("title", [[red, red], [red, None]], (30, 20), ("a", "b"), [["x", "y"], ["z"]]).draw()
    assert drawn.shape[1] == 2 * 30 + 3 * GAP
    is_red = (drawn == (200, 0, 0)).all(axis=2)
    assert is_red.sum() == 3 * 20 * 30


def test_a_cell_is_never_larger_than_its_picture() -> None:
    assert cell_size(np.zeros((40, 80, 3)), 240) == (80, 40)
    assert cell_size(np.zeros((400, 800, 3)), 240) == (240, 120)
    assert cell_size(np.zeros((1280, 720, 3)), 240) == (135, 240)
    assert cell_size(np.zeros((1280, 720, 3)), 240, TALLEST_CELL) == (240, 427)  # in a column there is room below
    assert cell_size(np.zeros((4000, 1000, 3)), 240, TALLEST_CELL) == (180, 720)


@repeatable
@given(st.integers(1, 500), st.one_of(st.none(), st.integers(0, 60)))
def test_spread_numbers_are_in_order_within_and_as_many_as_asked(total: int, count: int | None) -> None:
    numbers = spread_numbers(total, count, 7)
    wanted = {None: 7, 0: total}.get(count, count)
    assert numbers == sorted(set(numbers))
    assert len(numbers) == min(total, wanted)
    assert 0 <= numbers[0] <= numbers[-1] < total


@pytest.mark.parametrize(("second", "wanted"), [(0.0, 0), (0.99, 30), (100.0, 39)])
def test_near_finds_the_frame_of_a_moment_and_those_before_it(second: float, wanted: int) -> None:
    path = write_clip(Path("c.mp4"), moving_frames(40), options={"crf": "12", "g": "10"})
    with ClipReader(path) as reader:
        found = reader.near(Fraction(second), 2)
    # Converted otherwise, it is not the same to the bit.
    distances = [np.abs(found[-1].rgb.astype(int) - frame).mean() for frame in decode(path)[2]]
    assert int(np.argmin(distances)) == wanted
    assert len(found) in ((1, 2) if wanted else (1,))  # at a keyframe there is nothing before it to be seen


def test_a_sheet_of_a_clip_is_found_again_and_never_replaces_anything_else(clip: Path) -> None:
    first = vidtrans_json("sheet", clip, "-n", "6")
    assert first["frames"] == 6
    picture = read_picture(Path("clip.sheet.png"))
    assert picture.shape[0] > 48
    assert vidtrans_json("sheet", clip, "-n", "6")["cached"]
    done = vidtrans("sheet", clip, "-n", "5", expect=2)
    assert "--overwrite" in done.stderr
    assert vidtrans_json("sheet", clip, "-n", "5", "--overwrite")["frames"] == 5
    vidtrans("sheet", clip, "-o", "x.jpg", expect=2)
    assert not Path("x.jpg").exists()


def test_a_sheet_shows_what_pairings_make_of_a_clip(clip: Path) -> None:
    table = vidtrans_json("sheet", clip, "--pairing", "edges", "--pairing", "next-frame", "-n", "2", "-o", "p.png")
    assert table["frames"] == 2 * 3
    done = vidtrans("sheet", clip, "--pairing", "aligned", "-o", "q.png", expect=2)
    assert "cannot make its input from the frame" in done.stderr


def test_a_sheet_of_a_dataset_shows_its_pairs_and_what_was_deleted_is_gone(clip: Path) -> None:
    api.make_dataset(clip, settings={"dataset": TINY["dataset"]})
    everything = vidtrans_json("sheet", "clip.dataset", "-n", "0", "-o", "all.png")["frames"]
    pictures = sorted(Path("clip.dataset/clip").glob("*.png"))
    assert everything == len(api.make_dataset(clip, settings={"dataset": TINY["dataset"]})["pairs"] * [0])
    pictures[0].unlink()
    pictures[1].unlink()
    assert vidtrans_json("sheet", "clip.dataset", "-n", "0", "-o", "fewer.png")["frames"] == everything - 2
    assert "is a dataset" in vidtrans("sheet", "clip.dataset", "--pairing", "edges", "-o", "x.png", expect=2).stderr


def test_a_comparison_has_the_first_clips_times_and_sound_and_every_clip_in_its_place(tmp_path: Path) -> None:
    a = write_clip(tmp_path / "a.mp4", [np.full((48, 64, 3), 200, np.uint8)] * 20, sound=True)
    b = write_clip(tmp_path / "b.mp4", [np.full((48, 64, 3), 60, np.uint8)] * 20)
    table = vidtrans_json("compare", a, b, "--label", "one", "--label", "two")
    out = Path(table["output"])
    assert out.name == "a.compare.mp4"
    assert times(out) == times(a)
    assert [p for _, p in sound_packets(out)] == [p for _, p in sound_packets(a)]
    frame = decode(out)[2][10]
    middle = frame[-24, :].mean(axis=1)
    assert middle[GAP + 32] > 180
    assert middle[2 * GAP + 64 + 32] < 80
    assert vidtrans_json("compare", a, b, "--label", "one", "--label", "two")["cached"]


def test_clips_of_other_rates_go_together_by_time(tmp_path: Path) -> None:
    """Each clip gets brighter with time: side by side they have to be equally bright."""
    ramp = lambda n: [np.full((48, 64, 3), 20 + 200 * i // n, np.uint8) for i in range(n)]  # noqa: E731
    a = write_clip(tmp_path / "a.mp4", ramp(30), rate=30)
    b = write_clip(tmp_path / "b.mp4", ramp(15), rate=15)
    done = vidtrans("compare", a, b, "-o", "c.mp4")
    assert "matched by time" in done.stderr
    for number, frame in enumerate(decode(Path("c.mp4"))[2]):
        left, right = frame[-24, GAP + 32].mean(), frame[-24, 2 * GAP + 64 + 32].mean()
        assert abs(left - right) < 20, number


def test_a_comparison_as_a_picture_with_what_a_model_sees(clip: Path, tiny_model: Path) -> None:
    table = vidtrans_json("compare", clip, clip, "-o", "c.png", "--frames", "2", "--input", tiny_model)
    assert (table["frames"], table["panels"]) == (2, 3)
    assert read_picture(Path("c.png")).shape[1] == 3 * 64 + 4 * GAP
    before = snapshot(Path())
    assert vidtrans("compare", clip, "-o", "c.gif", expect=2).stderr
    assert "3 labels for 1" in vidtrans("compare", clip, "--label=a", "--label=b", "--label=c", expect=2).stderr
    assert vidtrans("compare", clip, "nowhere.mp4", "-o", "d.mp4", expect=3).stderr
    assert snapshot(Path()) == before


def test_a_grid_of_what_is_worth_a_look(clip: Path, tiny_model: Path) -> None:
    table = vidtrans_json("try", clip, "--model", tiny_model)
    assert table["frames"] == 3
    assert table["columns"] == [
        "source",
        "tiny",
        "--strength 0.5",
        "--strength 1.5",
        "--set pairing.density=0.06",
        "--set pairing.density=0.24",
        "--size 24",
        "--size 48",
    ]
    assert Path("clip.try.png").is_file()
    assert vidtrans_json("try", clip, "--model", tiny_model)["cached"]


def test_a_grid_shows_the_colour_map_of_the_same_domains(clip: Path, tiny_model: Path) -> None:
    """A map that lies beside a model has a column, in which nothing but colours move."""
    model = Path("own.safetensors")
    model.write_bytes(tiny_model.read_bytes())
    save_grade(companion_path(model, COLOURS), np.zeros((2, 2, 2, 3)), "black", {})
    asked = ("try", clip, "--model", model, "--vary", "strength=0", "--frames", 1, "-o", "t.png")
    assert vidtrans_json(*asked)["columns"] == ["source", "own", "--strength 0", "colours alone"]
    grid = read_picture(Path("t.png"))
    top = grid.shape[0] - 48 - GAP - 20
    assert grid[top : top + 48, GAP + 3 * (64 + GAP) :][:, :64].max() == 0
    save_grade(companion_path(model, COLOURS), np.ones((2, 2, 2, 3)), "white", {})
    assert not vidtrans_json(*asked, "--overwrite")["cached"]
    both = ("--model", companion_path(model, COLOURS), "--frames", 1, "-o", "u.png")
    assert vidtrans_json("try", clip, "--model", model, *both)["columns"].count("colours alone") == 0


def test_a_grid_of_chosen_settings_shows_just_what_a_render_would(clip: Path, tiny_model: Path) -> None:
    vary = ("--vary", "strength=0,1", "--vary", "mix=1")
    table = vidtrans_json("try", clip, "--model", tiny_model, *vary, "--at", "10", "-o", "t.png")
    assert table["columns"] == ["source", "tiny", "--strength 0", "--strength 1", "--mix 1"]
    grid = read_picture(Path("t.png"))
    top = grid.shape[0] - 48 - GAP - 20  # a row of notes is below
    cells = [grid[top : top + 48, GAP + i * (64 + GAP) :][:, :64] for i in range(5)]
    source, look, none, full, mixed = cells
    assert np.array_equal(source, none)
    assert np.array_equal(source, mixed)
    assert np.array_equal(look, full)
    assert not np.array_equal(source, look)
    api.stylize(
        clip, tiny_model, "one.png", start="10", end="11", settings={"temporal": {"name": "off"}, "rendering": {}}
    )
    rendered = read_picture(Path("one.png"))
    # Scaled by another library: much nearer to each other than to the source, not the same to the bit.
    distance = lambda a, b: np.abs(a.astype(int) - b).mean()  # noqa: E731
    assert distance(rendered, look) < 0.25 * distance(source, look)


@pytest.mark.parametrize("text", ["strength", "strength=", "size=12,,3", "no=1", "rendering.chunk_frames=3", "=1"])
def test_a_variation_that_is_none_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(UsageError, match=r"--vary|choose from"):
        parse_variations(text)


def test_wrong_values_are_said_before_any_work(clip: Path, tiny_model: Path) -> None:
    before = snapshot(Path())
    for vary, words in (
        ("strength=3", "from 0 to 2"),
        ("size=wide", "not a size"),
        ("pairing.nothing=1", "no setting"),
        ("pairing.gradient_channel=false", "channels"),
    ):
        done = vidtrans("try", clip, "--model", tiny_model, "--vary", vary, expect=2)
        assert words in done.stderr, done.stderr
    assert snapshot(Path()) == before


def test_models_side_by_side_and_pictures_too(tmp_path: Path, tiny_model: Path) -> None:
    write_picture(tmp_path / "photo.png", scene(64, 48, 1))
    table = vidtrans_json("try", "photo.png", "--model", tiny_model, "--model", "identity", "-o", "t.png")
    assert table["frames"] == 1
    assert table["columns"].count("identity") == 1
    assert "tiny" in table["columns"]


def test_doctor_finds_everything_as_it_should_be(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    table = vidtrans_json("doctor")
    assert table["wrong"] == []
    names = [f["name"] for f in table["findings"]]
    assert {"python", "libraries", "device", "video", "model", "folder", "presets"} <= set(names)
    monkeypatch.setenv("VIDTRANS_DOCTOR_BOGUS", "1")
    monkeypatch.setattr(examination, "examine", lambda device: iter(()))
    told = said(capsys, 0, "doctor")
    assert "all is well" in told
    assert "the variable VIDTRANS_DOCTOR_BOGUS matches no option of this command" in told


def test_doctor_names_what_is_wrong_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidtrans.models.model_file.model_folders", list)
    found = {f.name: f for f in examination.examine()}
    assert found["model"].state == "wrong"
    assert "no model of this name" in found["model"].detail
    assert found["video"].state == "ok"


@pytest.mark.parametrize(("installed", "too_old"), [("2.5.9", True), ("2.13.0+cpu", False)])
def test_doctor_names_a_library_that_is_older_than_the_oldest_that_works(
    installed: str, too_old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = ["torch<2.14,>=2.6", "numpy>=1.26", 'onnx>=99; extra == "onnx"']
    monkeypatch.setattr(examination, "requires", lambda name: needed)
    monkeypatch.setattr(examination, "version", lambda name: installed if name == "torch" else "99")
    monkeypatch.setattr(
        examination, "_installed", lambda name: not name.startswith("opencv-c") and name != "opencv-python"
    )
    state, detail, *remedy = examination._libraries()
    assert (state == "wrong", "torch 2.5.9 is too old, 2.6 is needed" in detail) == (too_old, too_old)
    assert remedy == (['pip install "torch<2.14,>=2.6"'] if too_old else [])


def test_a_checkout_that_is_not_installed_has_no_bounds_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(examination, "requires", absent)
    assert examination._needed() == {}


@pytest.mark.parametrize("arguments", [("doctor", "--self-test"), ("bench", "--size", "64", "--frames", "2")])
def test_without_a_place_for_temporary_files_it_is_said_what_to_do(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(examination, "examine", lambda device: iter(()))
    monkeypatch.setattr(tempfile, "mkdtemp", nowhere)
    told = said(capsys, 1, *arguments)
    assert "temporary files: no folder takes them — free some space, or set TMPDIR" in told
    assert "Traceback" not in told
    assert "reinstall vidtrans" not in told


def test_a_self_test_that_is_stopped_cleans_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    class Signalling:
        def __call__(self, subject: Subject) -> dict[str, Callable[[], Verdict]]:
            def check() -> Verdict:
                signal.raise_signal(signal.SIGTERM)
                return Verdict("ok", "well")

            return {"first": check, "second": check}

    entry = SimpleNamespace(load=Signalling)
    monkeypatch.setattr("vidtrans.doctor.all_checks.CHECKS", {"signalling": entry})
    monkeypatch.setattr(examination, "examine", lambda device: iter(()))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = signal.getsignal(signal.SIGTERM)
    try:
        told = said(capsys, 128 + signal.SIGTERM, "doctor", "--self-test", "--device", "cpu")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "stopped" in told
    assert "second" not in told
    assert list(tmp_path.glob("vidtrans-*")) == []


@pytest.fixture
def quick_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures, one engine, and none of the checks that ``doctor`` makes without --self-test."""
    monkeypatch.setattr("vidtrans.doctor.all_checks.Scale", lambda: Scale(side=64))
    monkeypatch.setattr("vidtrans.doctor.examination.examine", lambda device: iter(()))
    for name in set(ENGINES) - {"torch"}:
        monkeypatch.delitem(ENGINES._entries, name)


@pytest.mark.usefixtures("quick_self_test", "one_thread")
def test_the_self_test_tells_a_line_a_check_and_gives_all_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setattr("vidtrans.doctor.all_checks.CHECKS", {kind: CHECKS[kind] for kind in ("engine", "flow")})
    told = said(capsys, 0, "doctor", "--self-test", "--device", "cpu")
    for name in ("engine torch", "flow dis-torch"):
        assert re.search(rf"^ok    {name} ", told, re.MULTILINE), name
    assert re.search(r"^note  flow raft +not available: ", told, re.MULTILINE)
    table = said_json(capsys, "doctor", "--self-test", "--device", "cpu")
    names = [finding["name"] for finding in table["findings"]]
    assert names == [check["name"] for check in table["self_test"]["checks"]]
    assert len(names) == len(set(names))
    assert table["wrong"] == []
    assert list(Path().iterdir()) == []


@pytest.mark.usefixtures("quick_self_test", "one_thread")
def test_the_self_test_fails_where_a_check_does(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    monkeypatch.setattr("vidtrans.doctor.engine_check.LEAST_PSNR", {"fp32": 150.0, "bf16": 150.0})
    monkeypatch.setattr("vidtrans.doctor.all_checks.CHECKS", {"engine": CHECKS["engine"]})
    assert run(["doctor", "--self-test", "--device", "cpu", "-q"]) == 1
    told = capsys.readouterr()
    assert "WRONG engine torch" in told.out
    assert "doctor --self-test --json" in told.out
    assert "engine torch" in told.err.splitlines()[-1]
    assert run(["doctor", "--self-test", "--device", "cpu", "--json"]) == 1
    table = json.loads(capsys.readouterr().out)
    assert table["wrong"][0] == "engine torch"
    assert all(name.startswith("engine ") for name in table["wrong"])  # those that are installed
    assert table["exit_status"] == 1
    assert table["self_test"]["checks"][0]["figures"]["psnr"]["fp32"] > 100


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_a_device_that_is_absent_is_told_by_the_exit_status(capsys: Capsys) -> None:
    for flags in (("--self-test",), ()):
        assert "no CUDA device here" in refuse(capsys, 4, "doctor", *flags, "--device", "cuda")
    assert "no such device" in refuse(capsys, 2, "doctor", "--device", "toaster")


def test_the_clips_of_the_demo_ship_and_its_settings_are_some() -> None:
    assert (len(times(demo.FILM)), len(times(demo.CLIP))) == (150, 96)
    assert make_recipe("edges", None, demo.ALONE).tables["training"]["preview_seconds"] == 10
    more = make_recipe("others", None, demo.MORE)
    _, record = load_generator(Path(demo.MODEL))
    channels = record.generator["settings"]["channels"]
    assert channels == more.tables["generator"]["channels"]  # the demo trains that model further
    assert record.pairing["settings"] == asdict(more.choice_settings("pairing")[1])


@pytest.mark.usefixtures("quick_trial")
@pytest.mark.parametrize("alone", [False, True])
def test_the_demo_leaves_what_it_promises_and_is_found_again(monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    """On small clips, with small networks; ``.ci/run`` has all of it."""
    monkeypatch.setattr(demo, "FILM", write_clip(Path("short.mp4").resolve(), moving_frames(10)))
    monkeypatch.setattr(demo, "CLIP", write_clip(Path("other.mp4").resolve(), moving_frames(10)))
    monkeypatch.setattr(demo, "ALONE", TINY)
    monkeypatch.setattr(demo, "MORE", TINY)
    monkeypatch.setattr(demo, "MODEL", None)
    given = ("demo", "--minutes", "0.001", *(["--from-nothing"] if alone else []))
    done = vidtrans(*given)
    assert done.stderr.startswith("this takes about 70 s")
    assert "--set" not in done.stderr  # its camera stands still, but whoever starts the demo chooses no settings
    folder = Path("vidtrans-demo")
    promised = re.findall(r"^  (vidtrans-demo/\S+)", done.stdout, re.MULTILINE)
    assert len(promised) == 5
    assert done.stdout.rstrip().endswith(promised[-1])
    assert promised[-1].endswith("/report.html")
    assert [p for p in promised if not Path(p).is_file()] == []
    assert len(times(folder / "comparison.mp4")) == 10
    assert sorted(p.name for p in Path().iterdir()) == ["other.mp4", "short.mp4", "vidtrans-demo"]
    commands = [line.strip().split() for line in done.stdout.splitlines() if line.startswith("  vidtrans ")]
    assert [c[1] for c in commands] == ["stylize", "stylize", "try", "run"]
    before = snapshot(Path())
    assert vidtrans_json(*given)["cached"]
    assert snapshot(Path()) == before


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("vidtrans stylize --model fl", "flower"),
        ("vidtrans stylize --look penc", "pencil"),
        ("vidtrans make-dataset --pairing sk", "sketch"),
        ("vidtrans train x --preset pix", "pix2pix"),
    ],
)
def test_the_shell_completes_commands_models_pairings_and_presets(words: str, found: str) -> None:
    env = {"_VIDTRANS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    assert f"plain,{found}" in vidtrans_process(env=env).stdout.split()


def test_the_model_that_ships_is_small_licensed_and_paints_at_once(clip: Path) -> None:
    table = vidtrans_json("model", "show", "flower")
    assert Path(table["output"]).stat().st_size <= 6_000_000
    assert table["card"]["licence"] == "CC0-1.0"
    made = vidtrans_json("stylize", clip, "--model", "flower", "--end", "2")
    assert made["output"] == "clip.flower.mp4"
    assert made["frames"] == 2


def test_the_variable_of_a_command_whose_module_has_another_name_is_read(clip: Path) -> None:
    done = vidtrans("try", clip, "--model", "identity", "--frames", "1", env={"VIDTRANS_TRY_VARY": "strength=1"})
    assert "VIDTRANS_TRY_VARY" not in done.stderr
    assert Path("clip.try.png").is_file(), done.stdout
