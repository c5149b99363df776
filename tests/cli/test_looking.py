"""Looking before rendering, and after: sheet, compare, try, doctor, and what they are drawn with."""

from __future__ import annotations

import errno
import json
import re
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import TINY, refuse, said, said_json, snapshot, vidtrans, vidtrans_json
from clips import decode, moving_frames, scene, sound_packets, times, write_clip

import vidtrans as api
from vidtrans.cli.main import run
from vidtrans.commands import demo
from vidtrans.config.recipe import make_recipe
from vidtrans.doctor import checks
from vidtrans.doctor.self_test import CHECKS, SelfTestScale
from vidtrans.inference import ENGINES
from vidtrans.models.model_file import COLOURS, companion_path, load_generator, save_grade
from vidtrans.video.images.picture import read_picture, write_picture
from vidtrans.video.plots import GAP

Capsys = pytest.CaptureFixture[str]


def test_a_sheet_of_a_clip_is_found_again_and_never_replaces_anything_else(clip: Path) -> None:
    assert vidtrans_json("sheet", clip, "-n", "6")["frames"] == 6
    assert read_picture(Path("clip.sheet.png")).shape[0] > 48
    assert vidtrans_json("sheet", clip, "-n", "6")["cached"]
    assert "--overwrite" in vidtrans("sheet", clip, "-n", "5", expect=2).stderr
    assert vidtrans_json("sheet", clip, "-n", "5", "--overwrite")["frames"] == 5
    pairings = ("--pairing", "edges", "--pairing", "next-frame")
    assert vidtrans_json("sheet", clip, *pairings, "-n", "2", "-o", "p.png")["frames"] == 2 * 3
    done = vidtrans("sheet", clip, "--pairing", "aligned", "-o", "q.png", expect=2)
    assert "cannot make its input from the frame" in done.stderr
    vidtrans("sheet", clip, "-o", "x.jpg", expect=2)
    assert not Path("x.jpg").exists()


def test_a_sheet_of_a_dataset_shows_its_pairs_and_what_was_deleted_is_gone(dataset: str) -> None:
    everything = vidtrans_json("sheet", dataset, "-n", "0", "-o", "all.png")["frames"]
    pictures = sorted(Path("clip.dataset/clip").glob("*.png"))
    pictures[0].unlink()
    pictures[1].unlink()
    assert vidtrans_json("sheet", dataset, "-n", "0", "-o", "fewer.png")["frames"] == everything - 2
    assert "is a dataset" in vidtrans("sheet", dataset, "--pairing", "edges", "-o", "x.png", expect=2).stderr


def test_a_comparison_has_the_first_clips_times_and_sound_and_every_clip_in_its_place(
    tmp_path: Path, tiny_model: Path
) -> None:
    a = write_clip(tmp_path / "a.mp4", [np.full((48, 64, 3), 200, np.uint8)] * 20, sound=True)
    b = write_clip(tmp_path / "b.mp4", [np.full((48, 64, 3), 60, np.uint8)] * 20)
    table = vidtrans_json("compare", a, b, "--label", "one", "--label", "two")
    out = Path(table["output"])
    assert out.name == "a.compare.mp4"
    assert times(out) == times(a)
    assert [p for _, p in sound_packets(out)] == [p for _, p in sound_packets(a)]
    middle = decode(out)[2][10][-24, :].mean(axis=1)
    assert middle[GAP + 32] > 180
    assert middle[2 * GAP + 64 + 32] < 80
    assert vidtrans_json("compare", a, b, "--label", "one", "--label", "two")["cached"]
    table = vidtrans_json("compare", a, b, "-o", "c.png", "--frames", "2", "--input", tiny_model)  # what a model sees
    assert (table["frames"], table["panels"]) == (2, 3)
    assert read_picture(Path("c.png")).shape[1] == 3 * 64 + 4 * GAP
    before = snapshot(Path())
    vidtrans("compare", a, "-o", "c.gif", expect=2)
    assert "3 labels for 1" in vidtrans("compare", a, "--label=a", "--label=b", "--label=c", expect=2).stderr
    vidtrans("compare", a, "nowhere.mp4", "-o", "d.mp4", expect=3)
    assert snapshot(Path()) == before


def test_a_grid_of_what_is_worth_a_look(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    table = vidtrans_json("try", clip, "--model", tiny_model)
    assert table["frames"] == 3
    density = [f"--set pairing.density={n}" for n in (0.06, 0.24)]
    varied = ["--strength 0.5", "--strength 1.5", *density, "--size 24", "--size 48"]
    assert table["columns"] == ["source", "tiny", *varied]
    assert Path("clip.try.png").is_file()
    assert vidtrans_json("try", clip, "--model", tiny_model)["cached"]
    write_picture(tmp_path / "photo.png", scene(64, 48, 1))
    table = vidtrans_json("try", "photo.png", "--model", tiny_model, "--model", "identity", "-o", "t.png")
    assert table["frames"] == 1
    assert (table["columns"].count("identity"), table["columns"].count("tiny")) == (1, 1)


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


def test_wrong_values_are_said_before_any_work(clip: Path, tiny_model: Path, capsys: Capsys) -> None:
    for vary, words in (
        ("strength", "--vary"),
        ("strength=", "--vary"),
        ("size=12,,3", "--vary"),
        ("no=1", "choose from"),
        ("rendering.chunk_frames=3", "choose from"),
        ("strength=3", "from 0 to 2"),
        ("size=wide", "not a size"),
        ("pairing.nothing=1", "no setting"),
        ("pairing.gradient_channel=false", "channels"),
    ):
        assert words in refuse(capsys, 2, "try", clip, "--model", tiny_model, "--vary", vary)


@pytest.mark.parametrize(("installed", "too_old"), [("2.5.9", True), ("2.13.0+cpu", False)])
def test_doctor_names_a_library_that_is_older_than_the_oldest_that_works(
    installed: str, too_old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = ["torch<2.14,>=2.6", "numpy>=1.26", 'onnx>=99; extra == "onnx"']
    monkeypatch.setattr(checks, "requires", lambda name: needed)
    monkeypatch.setattr(checks, "version", lambda name: installed if name == "torch" else "99")
    monkeypatch.setattr(checks, "library_version", lambda name: name not in ("opencv-python", "opencv-contrib-python"))
    state, detail, *remedy = checks._libraries()
    assert (state == "wrong", "torch 2.5.9 is too old, 2.6 is needed" in detail) == (too_old, too_old)
    assert remedy == (['pip install "torch<2.14,>=2.6"'] if too_old else [])


def test_doctor_finds_everything_as_it_should_be_or_names_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    table = vidtrans_json("doctor")
    assert table["wrong"] == []
    names = [f["name"] for f in table["findings"]]
    assert {"python", "libraries", "device", "video", "model", "folder", "presets"} <= set(names)
    monkeypatch.setenv("VIDTRANS_DOCTOR_BOGUS", "1")
    monkeypatch.setattr(checks, "run_checks", lambda device: iter(()))
    told = said(capsys, 0, "doctor")
    assert "all is well" in told
    assert "the variable VIDTRANS_DOCTOR_BOGUS matches no option of this command" in told
    monkeypatch.undo()
    monkeypatch.setattr("vidtrans.models.model_file.model_folders", list)
    found = {f.name: f for f in checks.run_checks()}
    assert (found["model"].state, found["video"].state) == ("wrong", "ok")
    assert "no model of this name" in found["model"].detail


def test_without_a_place_for_temporary_files_it_is_said_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(checks, "run_checks", lambda device: iter(()))
    monkeypatch.setattr(tempfile, "mkdtemp", nowhere)
    for arguments in (("doctor", "--self-test"), ("bench", "--size", "64", "--frames", "2")):
        told = said(capsys, 1, *arguments)
        assert "temporary files: no folder takes them — free some space, or set TMPDIR" in told
        assert "Traceback" not in told


@pytest.fixture
def quick_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures, one engine, and none of the checks that ``doctor`` makes without --self-test."""
    monkeypatch.setattr("vidtrans.doctor.self_test.SelfTestScale", lambda: SelfTestScale(side=64))
    monkeypatch.setattr("vidtrans.doctor.checks.run_checks", lambda device: iter(()))
    for name in set(ENGINES) - {"torch"}:
        monkeypatch.setattr(ENGINES, "_entries", {n: e for n, e in ENGINES._entries.items() if n != name})


@pytest.mark.usefixtures("quick_self_test", "one_thread")
def test_the_self_test_tells_a_line_a_check_and_gives_all_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setattr("vidtrans.doctor.self_test.CHECKS", {kind: CHECKS[kind] for kind in ("engine", "flow")})
    told = said(capsys, 0, "doctor", "--self-test", "--device", "cpu")
    for line in ("ok    engine torch ", "ok    flow dis-torch ", "note  flow raft +not available: "):
        assert re.search(f"^{line}", told, re.MULTILINE), line
    table = said_json(capsys, "doctor", "--self-test", "--device", "cpu")
    names = [finding["name"] for finding in table["findings"]]
    assert names == [check["name"] for check in table["self_test"]["checks"]]
    assert len(names) == len(set(names))
    assert table["wrong"] == []
    assert list(Path().iterdir()) == []


@pytest.mark.usefixtures("quick_self_test", "one_thread")
def test_the_self_test_fails_where_a_check_does(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    monkeypatch.setattr("vidtrans.doctor.self_test.MIN_ENGINE_PSNR_DB", {"fp32": 150.0, "bf16": 150.0})
    monkeypatch.setattr("vidtrans.doctor.self_test.CHECKS", {"engine": CHECKS["engine"]})
    assert run(["doctor", "--self-test", "--device", "cpu", "-q"]) == 1
    told = capsys.readouterr()
    assert "WRONG engine torch" in told.out
    assert "doctor --self-test --json" in told.out
    assert "engine torch" in told.err.splitlines()[-1]
    assert run(["doctor", "--self-test", "--device", "cpu", "--json"]) == 1
    table = json.loads(capsys.readouterr().out)
    assert (table["wrong"][0], table["exit_status"]) == ("engine torch", 1)
    assert table["self_test"]["checks"][0]["figures"]["psnr"]["fp32"] > 100


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_a_device_that_is_absent_is_told_by_the_exit_status(capsys: Capsys) -> None:
    for flags in (("--self-test",), ()):
        assert "no CUDA device here" in refuse(capsys, 4, "doctor", *flags, "--device", "cuda")
    assert "no such device" in refuse(capsys, 2, "doctor", "--device", "toaster")


@pytest.mark.usefixtures("quick_trial")
def test_the_demo_leaves_what_it_promises_and_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """On small clips, with small networks; ``.ci/run`` has all of it."""
    monkeypatch.setattr(demo, "FILM", write_clip(Path("short.mp4").resolve(), moving_frames(10)))
    monkeypatch.setattr(demo, "CLIP", write_clip(Path("other.mp4").resolve(), moving_frames(10)))
    monkeypatch.setattr(demo, "FROM_NOTHING_TABLES", TINY)
    monkeypatch.setattr(demo, "MORE_TRAINING_TABLES", TINY)
    monkeypatch.setattr(demo, "MODEL", None)
    given = ("demo", "--minutes", "0.001")
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


def test_the_shell_completes_commands_models_pairings_and_presets(
    monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setenv("_VIDTRANS_COMPLETE", "bash_complete")
    for words, found in (
        ("vidtrans stylize --model fl", "flower"),
        ("vidtrans stylize --look penc", "pencil"),
        ("vidtrans make-dataset --pairing sk", "sketch"),
        ("vidtrans train x --preset pix", "pix2pix"),
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        with pytest.raises(SystemExit):
            run([])
        assert f"plain,{found}" in capsys.readouterr().out.split()


def test_what_ships_is_small_licensed_and_paints_at_once(clip: Path) -> None:
    assert (len(times(demo.FILM)), len(times(demo.CLIP))) == (150, 96)
    more = make_recipe("others", None, demo.MORE_TRAINING_TABLES)
    _, record = load_generator(Path(demo.MODEL))
    channels = record.generator["settings"]["channels"]
    assert channels == more.tables["generator"]["channels"]  # the demo trains that model further
    assert record.pairing["settings"] == asdict(more.choice_settings("pairing")[1])
    table = vidtrans_json("model", "show", "flower")
    assert Path(table["output"]).stat().st_size <= 6_000_000
    assert table["card"]["licence"] == "CC0-1.0"
    made = vidtrans_json("stylize", clip, "--model", "flower", "--end", "2")
    assert (made["output"], made["frames"]) == ("clip.flower.mp4", 2)


def test_the_variable_of_a_command_whose_module_has_another_name_is_read(clip: Path) -> None:
    done = vidtrans("try", clip, "--model", "identity", "--frames", "1", env={"VIDTRANS_TRY_VARY": "strength=1"})
    assert "VIDTRANS_TRY_VARY" not in done.stderr
    assert Path("clip.try.png").is_file(), done.stdout
