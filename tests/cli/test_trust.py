"""What runs the user's ffmpeg comes from who started vidtrans, never from a file that lies in the folder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from chain import TINY, quick_training, refuse, said, tiny_flags
from clips import decode, moving_frames
from directed_clip import lossless, same
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import vidtrans as api
from vidtrans.core.errors import UsageError
from vidtrans.video.ffmpeg import find_program

Capsys = pytest.CaptureFixture[str]
GRAPH = "hflip,metadata=mode=add:key=a:value=b,metadata=mode=print:file=written.txt"
# A file's tables, and the key that is named.
ORDERS = {
    f'[encoding]\nfilter = "{GRAPH}"\n': "encoding.filter",
    f'[rendering]\nsource_filter = "{GRAPH}"\n': "rendering.source_filter",
    '[encoding]\ncodec = "ffmpeg:libx264"\n': "encoding.codec",
    '[encoding]\noptions = "x264opts=dump-yuv=written.txt"\n': "encoding.options",
}
FILTERS = f'[encoding]\nfilter = "{GRAPH}"\n'
RENDER = ("stylize", "clip.mkv", "--model", "identity", "-o", "out.mkv")
COMMANDS = {
    "stylize": RENDER,
    "stylize a folder": ("stylize", "clips", "--model", "identity", "-o", "out"),
    "deflicker": ("deflicker", "clip.mkv", "-o", "out.mkv"),
    "run": ("run", "clip.mkv", "--apply", "clip.mkv", "-o", "out.mkv"),
    "dream": ("dream", "noise", "--model", "any", "--frames", 2, "-o", "out.mkv"),
    "try": ("try", "clip.mkv", "--model", "identity", "-o", "out.png"),
    "make-dataset": ("make-dataset", "clip.mkv", "-o", "out.dataset"),
    "train": ("train", "clip.dataset", "-o", "out.safetensors"),
}


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    (folder / "clips").mkdir()
    for name in ("clip.mkv", "clips/a.mkv", "clips/b.mkv"):
        lossless(folder / name, moving_frames(4))
    return folder


@pytest.fixture(autouse=True)
def clips(footage: Path, tmp_path: Path) -> None:
    shutil.copytree(footage, tmp_path, dirs_exist_ok=True)


def written() -> Path:
    return Path("written.txt")


def test_a_graph_in_a_file_that_lies_in_the_folder_is_refused(capsys: Capsys) -> None:
    api.make_dataset("clip.mkv", "clip.dataset", settings=TINY)
    Path("vidtrans.toml").write_text(FILTERS)
    for command in COMMANDS.values():
        line = refuse(capsys, 2, *command)
        assert "encoding.filter in vidtrans.toml" in line
        assert "'vidtrans stylize' takes it as --filter, or in a --preset FILE" in line


def test_whatever_gives_ffmpeg_its_orders_is_refused_there(capsys: Capsys) -> None:
    for text, key in ORDERS.items():
        Path("vidtrans.toml").write_text(text)
        # What a flag asks for does not make the rest of the file's orders harmless.
        for flags in ((), ("--codec", "ffmpeg:libx264", "--filter", "null")):
            assert f"{key} in vidtrans.toml" in refuse(capsys, 2, *RENDER, *flags)
    harmless = '[encoding]\ncodec = "ffv1"\nfilter = ""\noptions = ""\n[rendering]\nsize = "32"\n'
    Path("vidtrans.toml").write_text(harmless)  # gives no orders
    assert "is run with" not in said(capsys, 0, *RENDER)


def test_a_preset_that_was_named_may_run_a_graph_and_it_is_told(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine.toml").write_text(FILTERS + 'codec = "ffv1"\n')
    monkeypatch.setenv("VIDTRANS_STYLIZE_PRESET", "mine.toml")  # or by --preset, as below
    told = said(capsys, 0, *RENDER)
    assert f"preset mine.toml: encoding.filter = '{GRAPH}' is run with {find_program()}" in " ".join(told.split())
    source = [frame[:, ::-1] for frame in decode(Path("clip.mkv"))[2]]
    assert same(decode(Path("out.mkv"))[2], source)
    assert written().exists()


@pytest.mark.usefixtures("quick_trial")
def test_every_command_that_runs_a_preset_s_graph_warns_of_it_however_quiet(next_model: Path, capsys: Capsys) -> None:
    Path("mine.toml").write_text('[encoding]\nfilter = "hflip"\n')
    dream = (*COMMANDS["dream"][:3], next_model, *COMMANDS["dream"][4:])
    whole = (*COMMANDS["run"], *tiny_flags())
    for command in (COMMANDS["stylize"], COMMANDS["stylize a folder"], COMMANDS["deflicker"], whole, dream):
        told = said(capsys, 0, *command, "--preset", "mine.toml", "--dry-run", "-q")
        assert told.count("warning: preset mine.toml: encoding.filter = 'hflip' is run with") == 1


def test_a_graph_that_a_flag_gives_too_is_the_user_s_own(capsys: Capsys) -> None:
    Path("mine.toml").write_text('[encoding]\nfilter = "hflip"\n')
    Path("night.toml").write_text('model = "identity"\n[[clips]]\nsource = "clip.mkv"\nencoding.filter = "hflip"\n')
    for graph in ("hflip", "vflip"):  # the same, or in its place
        dry = (*RENDER, "--preset", "mine.toml", "--filter", graph, "--dry-run")
        assert "is run with" not in said(capsys, 0, *dry)
    told = said(capsys, 0, "stylize", "night.toml", "-o", "out", "--dry-run", "--preset", "mine.toml")
    assert told.count("is run with") == 1
    assert "list night.toml: encoding.filter" in told


def test_a_variable_of_the_user_s_own_may_run_a_graph(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDTRANS_STYLIZE_FILTER", "hflip")
    assert "is run with" not in said(capsys, 0, *RENDER, "--codec", "ffv1")
    assert same(decode(Path("out.mkv"))[2], [frame[:, ::-1] for frame in decode(Path("clip.mkv"))[2]])


def test_a_bare_preset_name_is_never_a_file_in_the_folder(capsys: Capsys) -> None:
    Path("mine.toml").write_text(FILTERS)
    Path("presets").mkdir()
    Path("presets/mine.toml").write_text(FILTERS)
    Path("edges.toml").write_text(FILTERS)
    assert "preset 'mine'" in refuse(capsys, 2, *RENDER, "--preset", "mine")
    said(capsys, 0, *RENDER, "--preset", "edges")
    assert not written().exists()


def test_a_dataset_cannot_name_a_program(capsys: Capsys) -> None:
    api.make_dataset("clip.mkv", "clip.dataset", settings=TINY)
    index = Path("clip.dataset/dataset.json")
    value = json.loads(index.read_text())
    index.write_text(json.dumps(value | {"recipe": {"encoding": {"filter": GRAPH}}}))
    assert "encoding.filter in dataset.json" in refuse(capsys, 2, "train", "clip.dataset")
    index.write_text(json.dumps(value | {"recipe": {"encoding": 5}}))
    assert "damaged" in refuse(capsys, 3, "train", "clip.dataset")
    # The preset that it names is a word for records: no file of that name is read.
    Path("evil.toml").write_text("[training]\nsteps = 'none'\n")
    index.write_text(json.dumps(value | {"preset": "evil.toml"}))
    assert api.train("clip.dataset", settings=quick_training())["steps"] == 3


def test_a_model_file_cannot_name_a_program(tiny_model: Path, capsys: Capsys) -> None:
    with safe_open(str(tiny_model), framework="numpy") as file:
        record = json.loads(file.metadata()["vidtrans"])
    tables = {"encoding": {"filter": GRAPH}, "rendering": {"source_filter": GRAPH}}
    for place in ("training", "card", "pairing", "generator"):
        record[place] = {**record[place], **tables}
    save_file(load_file(tiny_model), "evil.safetensors", metadata={"vidtrans": json.dumps({**record, **tables})})
    said(capsys, 3, "stylize", "clip.mkv", "--model", "evil.safetensors", "-o", "out.mkv")
    assert not written().exists()


def make_program(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    fake = folder / ("ffmpeg.exe" if os.name == "nt" else "ffmpeg")
    fake.write_text("#!/bin/sh\ntouch written.txt\n")
    fake.chmod(0o755)
    return fake


def test_an_ffmpeg_that_lies_in_the_folder_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever on the PATH the folder is."""
    usual = os.environ["PATH"]
    for place in (".", "", "bin"):
        fake = make_program(Path(place))
        monkeypatch.setenv("PATH", os.pathsep.join([place, usual]))
        assert find_program().resolve() != fake.resolve()
    monkeypatch.setenv("PATH", os.pathsep.join([str(fake.parent.resolve()), usual]))
    assert find_program().resolve() == fake.resolve()  # where it was named in full, it is the user's own


def test_an_ffmpeg_that_imageio_names_without_its_place_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives the bare name where it brings no program and one runs: that of the folder, where the PATH has "."."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    make_program(Path())
    for given, place in (("ffmpeg", "."), ("./ffmpeg", ""), ("/nowhere/ffmpeg", ".")):
        monkeypatch.setenv("PATH", place)
        monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda given=given: given)
        with pytest.raises(UsageError, match="there is no ffmpeg program"):
            find_program()
    assert not written().exists()
