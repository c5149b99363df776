"""Bad input: one line with what, why and what to do; the right exit status; nothing at the output path."""

from __future__ import annotations

import errno
import json
import os
import pickle
import wave
from pathlib import Path

import numpy as np
import pytest
from chain import refuse, vidtrans, vidtrans_json
from clips import moving_frames, write_clip
from filelock import FileLock
from safetensors import safe_open
from safetensors.numpy import load_file, save, save_file
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
    "random.mp4": np.random.default_rng(0).bytes(100_000),
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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("make-dataset", "clip.mp4", "--pairing", "edgs"), "did you mean 'edges'"),
        (("make-dataset", "clip.mp4", "--preset", "edgse"), "did you mean 'edges'"),
        (("make-dataset", "clip.mp4", "--set", "pairing.densety=1"), "did you mean 'density'"),
        (("make-dataset", "clip.mp4", "--set", "paring.density=1"), "did you mean 'pairing'"),
        (("make-dataset", "clip.mp4", "--set", "pairing.density=99"), "from 0.001 to 0.9"),
        (("make-dataset", "clip.mp4", "--set", "pairing.gradient_channel=perhaps"), "it must be bool"),
        (("make-dataset", "clip.mp4", "--set", "nonsense"), "table.key=value"),
        (("make-dataset", "clip.mp4", "--size", "huge"), "use 256"),
        (("make-dataset", "clip.mp4", "--start", "soon"), "HH:MM:SS"),
        (("make-dataset", "clip.mp4", "--start", "30s"), "choose times within"),
        (("make-dataset", "clip.mp4", "--pairing", "aligned"), "--target"),
        (("make-dataset", "clip.mp4", "--target", "clip.mp4"), "--pairing aligned"),
        (("stylize", "clip.mp4", "--model", "identity", "--temporal", "on"), "choose from"),
        (("stylize", "clip.mp4", "--model", "identity", "--codec", "mpeg9"), "choose from"),
        (("stylize", "clip.mp4", "--model", "identity", "-o", "x.avi"), "use .mp4"),
        (("stylize", "clip.mp4"), "--model"),
        (("train", "clip.dataset", "--steps", "5", "--minutes", "5"), "give one of them"),
        (("train", "clip.dataset", "--steps", "0"), "--steps"),
        (("run", "clip.mp4", "--apply", "clip.mp4", "-o", "x.mp4", "--minutes", "nan"), "it must be greater than 0"),
        (("demo", "--minutes", "nan", "--dry-run"), "it must be greater than 0"),
        (("demo", "--minutes", "nan"), "it must be greater than 0"),
        (("styleize", "clip.mp4"), "Did you mean 'stylize'"),
        (("preset", "show", "nothing"), "choose from"),
        (("cache", "clean", "--stage", "nothing"), "choose from"),
    ],
)
def test_slips_are_answered_with_the_remedy(arguments: tuple[str, ...], says: str, clip: Path, capsys: Capsys) -> None:
    assert says in refuse(capsys, 2, *arguments)


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


@pytest.mark.parametrize("name", NO_MODELS)
def test_what_is_no_model_is_refused(name: str, clip: Path, capsys: Capsys) -> None:
    Path(f"{name}.safetensors").write_bytes(NO_MODELS[name])
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


def test_no_such_model_lists_those_there_are(clip: Path, capsys: Capsys) -> None:
    assert "identity" in refuse(capsys, 3, "stylize", clip, "--model", "nothing")
    assert "no such file" in refuse(capsys, 3, "stylize", clip, "--model", "no/thing.safetensors")


def test_no_dataset_is_no_dataset(clip: Path, capsys: Capsys) -> None:
    assert "make-dataset" in refuse(capsys, 3, "train", "nothing")
    Path("folder").mkdir()
    assert "dataset.json" in refuse(capsys, 3, "train", "folder")
    Path("folder/dataset.json").write_text("{}")
    assert "damaged" in refuse(capsys, 3, "train", "folder")


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
    monkeypatch.setattr("vidtrans.stylizing.requested_render.load_models_in_turn", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(["stylize", str(clip), "--model", "identity"])


@pytest.mark.parametrize("name", ["-dash.mp4", "co:lon.mp4", "new\nline.mp4", "ünï☃.mp4", "per%cent.mp4"])
def test_odd_names_work(name: str, clip: Path) -> None:
    need_name(name)
    Path(name).write_bytes(clip.read_bytes())
    table = json.loads(vidtrans("stylize", "--model", "identity", "--json", "--", name).stdout)
    assert Path(table["output"]).name == f"{name[:-4]}.identity.mp4"
    assert table["frames"] == 40


@pytest.mark.parametrize(
    "error",
    [
        NotImplementedError("FileSystem does not appear to support flock"),
        OSError(errno.EOPNOTSUPP, "Operation not supported"),
        OSError(errno.ENOLCK, "No locks available"),
    ],
)
def test_a_cache_on_a_network_drive_without_locks_is_one_line(
    error: Exception, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    def refused(self: FileLock, *_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(FileLock, "acquire", refused)
    said = refuse(capsys, 1, "stylize", clip, "--model", "identity", "-o", "out.mp4", dry_run=False)
    cache = Path(".vidtrans").resolve()
    assert said == f"error: cache {cache}: its file system has no locks — give a --cache-dir on a local disk"
