"""Mistakes and bad input: one line with what, why and what to do; the right status; nothing at the output path."""

from __future__ import annotations

import errno
import json
import os
import pickle
import wave
from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said, said_json, vidtrans, vidtrans_json
from clips import moving_frames, write_clip
from directed_clip import lossless
from filelock import FileLock
from made_models import make_model
from safetensors import safe_open
from safetensors.numpy import load_file, save, save_file
from style_pictures import write_style_pictures
from systems import need_name

from vidtrans.cli.main import run
from vidtrans.core.system import peak_memory
from vidtrans.video.images.picture import encode_png

Capsys = pytest.CaptureFixture[str]


def bad_media(name: str) -> Path:
    path = Path(name)
    if name == "cut.mp4":  # the index at its end is missing
        write_clip(path, moving_frames(20))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif name == "sound.wav":
        with wave.open(name, "wb") as file:
            file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000)
            file.writeframes(bytes(16000))
    elif name != "missing.mp4":
        path.write_bytes(CONTENTS[name])
    return path


CONTENTS = {
    "text.mp4": b"this is a shopping list\n" * 50,
    "empty.mp4": b"",
    "zeros.mp4": bytes(100_000),
    "playlist.mp4": b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n",
    "concat.mp4": b"ffconcat version 1.0\nfile 'clip.mp4'\n",
}
WHY = {
    "missing.mp4": "no such file",
    "empty.mp4": "the file is empty",
    "text.mp4": "not a video that can be read",
    "sound.wav": "only sound",
}


@pytest.mark.parametrize("name", [*CONTENTS, "missing.mp4", "cut.mp4", "sound.wav"])
def test_what_is_no_video_is_refused(name: str, capsys: Capsys) -> None:
    path = bad_media(name)
    for command in (("make-dataset",), ("stylize", "--model", "identity"), ("probe",)):
        told = refuse(capsys, 3, *command, path)
        assert name in told
        assert WHY.get(name, "") in told


def test_a_picture_whose_part_claims_gigabytes_takes_none(capsys: Capsys) -> None:
    """OpenCV makes room for a part of a PNG before it looks whether it is there."""
    data = bytearray(encode_png(np.zeros((8, 8, 3), np.uint8)))
    at = data.index(b"IDAT") - 4
    data[at : at + 4] = (0x7FFF0000).to_bytes(4)
    Path("claims.png").write_bytes(data)
    before = peak_memory()
    assert "not a picture" in refuse(capsys, 3, "stylize", "claims.png", "--model", "identity")
    assert peak_memory() - before < 500_000 << 10


def test_a_single_frame_gives_no_next_frame_pair_but_renders(capsys: Capsys) -> None:
    write_clip(Path("one.mp4"), moving_frames(1))
    assert "needs 3 frames" in refuse(capsys, 3, "make-dataset", "one.mp4", "--pairing", "next-frame")
    assert run(["stylize", "one.mp4", "--model", "identity", "-q"]) == 0
    assert Path("one.identity.mp4").is_file()


SLIPS: list[tuple[int, str, str]] = [
    (2, "run clip.mp4 --apply clip.mp4 -o o.mp4 --cuts cuts.csv", "--cuts cuts.csv: there is no such file"),
    (2, "make-dataset clip.mp4 --pairing edgs", "did you mean 'edges'"),
    (2, "make-dataset clip.mp4 --set pairing.densety=1", "did you mean 'density'"),
    (2, "make-dataset clip.mp4 --set pairing.density=99", "from 0.001 to 0.9"),
    (2, "make-dataset clip.mp4 --set nonsense", "table.key=value"),
    (2, "make-dataset clip.mp4 --start soon", "HH:MM:SS"),
    (2, "make-dataset clip.mp4 --pairing aligned", "--target"),
    (2, "stylize clip.mp4 --model identity --temporal on", "choose from"),
    (2, "stylize clip.mp4 --model identity -o x.avi", "use .mp4"),
    (2, "stylize clip.mp4", "--model"),
    (2, "train clip.dataset --steps 5 --minutes 5", "give one of them"),
    (2, "stylize clip.mp4 --model identity --fps=nan", "fps"),
    (2, "run clip.mp4 --apply clip.mp4 -o x.mp4 --minutes nan", "nan is not a number"),
    (2, "styleize clip.mp4", "Did you mean 'stylize'"),
    (2, "cache clean --stage nothing", "choose from"),
    (3, "stylize clip.mp4 --model no/thing.safetensors", "no such file"),
    (3, "train nothing", "make-dataset"),
    (3, "probe clp.mp4", "clp.mp4: no such file — did you mean 'clip.mp4'?"),
    (2, "stylize clip.mp4 --look stripe.png", "--look stripe.png: no such picture — did you mean 'stripes.png'?"),
    (3, "stylize clip.mp4 --model stripes.png", "stripes.png: it is a picture, not a model — paint in its style"),
    (2, "look oil", "it is a medium, and nothing is learned — vidtrans stylize VIDEO --look oil"),
    (3, "stylize clip.mp4 --model mien.safetensors", "no such file — did you mean 'mine.safetensors'?"),
    (3, "stylize clip.mp4 --model flowr", "did you mean 'flower'?"),
    (2, "stylize clip.mp4 --look oil -o clip.mp4/x.mp4", "is a file, not a folder"),
    (3, "train folder", "dataset.json"),
    (3, "train emptied", "damaged"),
    (
        2,
        "stylize clip.mp4 --look Oil",
        "there is no such medium, painting or picture — did you mean 'oil'?",
    ),
    (2, "stylize clip.mp4 --style ink", "No such option '--style'. Did you mean '--look'?"),
    (2, "stylize clip.mp4 --crf 18", "Did you mean '--set encoding.crf=N'?"),
    (2, "stylize clip.mp4 oil", "'oil': a look, where a clip is expected — write: vidtrans stylize clip.mp4 --look"),
    (2, "clip.mp4 --frames 2", "'clip.mp4' is no command: write 'vidtrans stylize clip.mp4 --look oil'."),
    (2, "oil clip.mp4", "'oil' is a look: write 'vidtrans stylize VIDEO --look oil'."),
    (2, "help stylize", "write 'vidtrans stylize --help'."),
    (2, "render clip.mp4", "Did you mean 'stylize'?"),
    (2, "cache clear", "No such command 'clear'. Did you mean 'clean'?"),
    (2, "stylize clip.mp4 --look oil --strength 150%", "write 1.5 for 150%"),
    (2, "stylize http://a.org/x.mp4 --look oil", "http://a.org/x.mp4: it is an address, not a file of this machine"),
    (2, "stylize clip.mp4 --look oil --look=pencil", "--look: it was given twice"),
]


def test_slips_are_answered_with_the_remedy(clip: Path, capsys: Capsys) -> None:
    for folder in ("folder", "emptied"):
        Path(folder).mkdir()
    Path("emptied/dataset.json").write_text("{}")
    Path("mine.safetensors").touch()
    write_style_pictures(Path())
    for status, line, says in SLIPS:
        assert says in refuse(capsys, status, *line.split()), line


def test_a_wrong_preset_file_or_project_file_is_named(clip: Path, capsys: Capsys) -> None:
    Path("mine.toml").write_text("[training\nlr = 1\n")
    assert "mine.toml" in refuse(capsys, 2, "make-dataset", clip, "--preset", "mine.toml")
    Path("mine.toml").write_text("[trainig]\nlr = 1\n")
    assert "did you mean 'training'" in refuse(capsys, 2, "make-dataset", clip, "--preset", "mine.toml")
    Path("vidtrans.toml").write_text("[dataset]\nsize = 7\n")
    assert "use 256 (the short side)" in refuse(capsys, 2, "make-dataset", clip)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploded",)


WEIGHTS = {"x": np.zeros(4, np.float32)}
NO_MODELS = {
    "text": b"not a model",
    "empty": b"",
    "foreign": save(WEIGHTS),
    "broken": save(WEIGHTS, {"vidtrans": "{"}),
    "future": save(WEIGHTS, {"vidtrans": json.dumps({"format": 99})}),
    "absurd": save(WEIGHTS, {"vidtrans": " " * (5 << 20)}),
    "pickle": pickle.dumps(Bomb()),
}


def test_what_is_no_model_is_refused(clip: Path, capsys: Capsys) -> None:
    for name, content in NO_MODELS.items():
        Path(f"{name}.safetensors").write_bytes(content)
        assert name in refuse(capsys, 3, "stylize", clip, "--model", name)
        assert name in refuse(capsys, 3, "model", "show", name)
    assert not Path("exploded").exists()


def test_a_model_with_other_weights_or_not_a_number_is_refused(clip: Path, tiny_model: Path, capsys: Capsys) -> None:
    with safe_open(str(tiny_model), framework="numpy") as file:
        metadata = file.metadata()
    weights = load_file(tiny_model)
    name = next(n for n in weights if n.endswith("weight"))
    save_file(weights | {name: np.full_like(weights[name], np.nan)}, "nan.safetensors", metadata=metadata)
    save_file({n: w for n, w in weights.items() if n != name}, "part.safetensors", metadata=metadata)
    record = json.loads(metadata["vidtrans"])
    record["generator"]["settings"]["channels"] = 16
    save_file(weights, "other.safetensors", metadata={"vidtrans": json.dumps(record)})
    record["generator"]["name"] = "unet-9000"
    save_file(weights, "unknown.safetensors", metadata={"vidtrans": json.dumps(record)})
    data = bytearray(tiny_model.read_bytes())
    Path("cut.safetensors").write_bytes(data[:-1000])
    data[-1000] ^= 1
    Path("flip.safetensors").write_bytes(data)
    for bad in ("nan", "part", "other", "unknown", "cut", "flip"):
        line = refuse(capsys, 3, "stylize", clip, "--model", bad, "-q")
        assert bad in line
        assert bad != "flip" or "damaged" in line


def test_an_existing_output_is_kept_unless_asked(clip: Path, capsys: Capsys) -> None:
    Path("clip.identity.mp4").write_text("precious")
    arguments = ("stylize", clip, "--model", "identity")
    assert "--overwrite" in refuse(capsys, 2, *arguments)
    vidtrans(*arguments, "--overwrite")
    assert Path("clip.identity.mp4").stat().st_size > 1000
    assert "--overwrite" in refuse(capsys, 2, *arguments, "--set=encoding.crf=30")
    Path("clip.dataset").mkdir()
    Path("clip.dataset/thesis.txt").write_text("precious")
    assert "not a dataset" in refuse(capsys, 2, "make-dataset", clip, "--overwrite")


def test_json_is_one_object_on_failure_too(clip: Path) -> None:
    table = vidtrans_json("stylize", "missing.mp4", "--model", "identity", expect=3)
    assert "missing.mp4" in table["error"]
    assert {"output", "frames", "seconds", "cached"} <= set(table)
    table = vidtrans_json("stylize", clip, "--model", "identity", "--bogus", expect=2)
    assert "--bogus" in table["error"]


def test_a_bug_keeps_its_traceback(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidtrans.stylizing.requested_render.load_model_chain", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(["stylize", str(clip), "--model", "identity"])


@pytest.mark.parametrize("name", ["-dash.mp4", "new\nline.mp4", "per%cent co:lon ünï☃.mp4"])
def test_odd_names_work(name: str, clip: Path) -> None:
    need_name(name)
    Path(name).write_bytes(clip.read_bytes())
    table = json.loads(vidtrans("stylize", "--model", "identity", "--json", "--", name).stdout)
    assert Path(table["output"]).name == f"{name[:-4]}.identity.mp4"
    assert table["frames"] == 40


def test_a_cache_on_a_network_drive_without_locks_is_one_line(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    def refused(self: FileLock, *_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", refused)
    said = refuse(capsys, 1, "stylize", clip, "--model", "identity", "-o", "out.mp4", dry_run=False)
    cache = Path(".vidtrans").resolve()
    assert said == f"error: cache {cache}: its file system has no locks — give a --cache-dir on a local disk"


SMALL = ("--size", "48", "--codec", "ffv1", "--temporal", "off", "--upscale", "bicubic", "--device", "cpu")


@pytest.fixture
def clip_and_pictures(tmp_path: Path) -> None:
    lossless(Path("clip.mkv"), moving_frames(8, (96, 64)))
    write_style_pictures(tmp_path)


@pytest.mark.usefixtures("clip_and_pictures")
def test_a_size_that_is_not_reached_is_said(capsys: Capsys) -> None:
    render = ("stylize", "clip.mkv", "--model", "identity", "--dry-run", "--size")
    told = said(capsys, 0, *render, "2500")
    assert "--size 2500: clip.mkv is 96x64, and a short side enlarges nothing" in told
    assert "--size 3750x2500 enlarges it" in told
    for reached in ("64", "96x64", "300x200", "source"):
        assert "enlarges" not in said(capsys, 0, *render, reached)


@pytest.mark.usefixtures("clip_and_pictures")
def test_a_folder_of_one_clip_is_a_folder_of_clips(capsys: Capsys) -> None:
    Path("one").mkdir()
    Path("clip.mkv").rename("one/a.mkv")
    render = ("stylize", "--model", "identity", *SMALL, "--executor", "inline")
    for given, place in (("one", "made"), ("one/*.mkv", "found"), ("one/a.mkv", "new/")):
        said(capsys, 0, *render, given, "-o", place)
        assert Path(place, "a.identity.mkv").is_file()
    assert "have a folder of results" in refuse(capsys, 2, *render, "one", "-o", "x.mkv")
    told = refuse(capsys, 3, "probe", "one")
    assert "one: a folder of 1 video, where one clip is expected — name the video, as one/a.mkv" in told


@pytest.mark.usefixtures("clip_and_pictures")
def test_the_number_of_a_frame_is_told_from_seconds(capsys: Capsys) -> None:
    render = ("stylize", "clip.mkv", "--model", "identity", *SMALL)
    told = said(capsys, 0, *render, "--end", "2", "-o", "a.mkv")
    assert "2 is the number of a frame: 2 frames of clip.mkv are rendered; for seconds write 2s" in told
    assert "number of a frame" not in said(capsys, 0, *render, "--end", "0.1s", "-o", "b.mkv")


@pytest.mark.usefixtures("clip_and_pictures")
def test_one_picture_to_learn_from_is_pointed_to_its_style(capsys: Capsys) -> None:
    told = said(capsys, 0, "make-dataset", "stripes.png", "-o", "one.dataset")
    assert "from one picture a model learns that picture alone; its style is painted by: vidtrans stylize VIDEO" in told
    assert "that picture alone" not in said(capsys, 0, "make-dataset", "clip.mkv")


@pytest.mark.usefixtures("clip_and_pictures")
def test_a_clip_smaller_than_pictures_of_the_training_is_enlarged(tiny_model: Path, capsys: Capsys) -> None:
    """At a smaller scale a network that learned from pairs finds no eyes in a face."""
    lossless(Path("small.mkv"), moving_frames(2, (32, 24)))
    make_model("untrained.safetensors", "edges", size=32)
    seen = {}
    for name, *flags in ((tiny_model,), (tiny_model, "--size", "source"), ("untrained",)):
        render = ("stylize", "small.mkv", "--model", name, "-o", "o.mkv", "--temporal", "off", "--overwrite")
        table = said_json(capsys, *render, *flags)
        assert table["size"] == [32, 24]
        seen[(name, *flags)] = table["working_size"]
    assert list(seen.values()) == [[43, 32], [32, 24], [32, 24]]
