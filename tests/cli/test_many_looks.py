"""Models of many looks, as a person uses them: trained on graded clips, a look chosen by number, picture or shot."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import TINY, quick_training, refuse, said, said_json, tiny_flags
from clips import decode, moving_frames, scene, write_clip, write_folder
from made_models import make_coded_model, make_grade, make_model

import vidtrans as api
from vidtrans.models.model_file import read_record

pytestmark = pytest.mark.usefixtures("one_thread", "quick_trial")
Capsys = pytest.CaptureFixture[str]
# What is mended in a shot depends on all of its looks.
EXACT = ["--codec", "ffv1", "--temporal", "off", "--upscale", "bicubic"]


def picture(name: str, seed: int) -> str:
    cv2.imwrite(name, scene(64, 48, seed)[..., ::-1])
    return name


@pytest.fixture
def clip() -> Path:
    return write_clip(Path("c.mp4"), moving_frames(12, size=(64, 48), shots=(0, 6)))


@pytest.fixture
def model() -> Path:
    return make_coded_model("m.safetensors")


def rendered(name: str, *flags: str, model: str = "m", source: str = "c.mp4", capsys: Capsys) -> np.ndarray:
    said(capsys, 0, "stylize", source, "--model", model, "-o", name, "--overwrite", *flags, *EXACT)
    return np.array(decode(Path(name))[2], np.int16)


def graded_dataset() -> str:
    frames = moving_frames(16, size=(64, 48))
    for name, gain in (("dark", (0.3, 0.4, 0.6)), ("light", (1.0, 0.9, 0.7))):
        write_folder(Path(name), [np.rint(frame * np.array(gain)).astype(np.uint8) for frame in frames])
    tables = {"dataset": TINY["dataset"]}
    api.make_dataset([Path("dark"), Path("light")], "looks.dataset", preset="many-looks", settings=tables)
    return "looks.dataset"


def test_a_model_of_many_looks_is_trained_shown_and_rendered(capsys: Capsys) -> None:
    dataset = graded_dataset()
    ask = ["train", dataset, "--preset", "many-looks", "-o", "x.safetensors", *tiny_flags("generator")]
    for setting in ("recurrent", "background_plate"):  # have no code beside them
        assert f"training.{setting}" in refuse(capsys, 2, *ask, f"--set=training.{setting}=true")
    table = api.train(dataset, "looks.safetensors", preset="many-looks", settings=quick_training())
    assert table["held_out"].keys() >= {"psnr", "ssim", "diversity"}
    record = read_record(Path("looks.safetensors"))
    assert (record.code_size, record.in_channels) == (8, 1)
    assert "codes of 8 numbers" in said(capsys, 0, "model", "show", "looks.safetensors")
    assert len(said_json(capsys, "model", "show", "looks.safetensors")["codes"]["spread"]) == 8
    write_clip(Path("c.mp4"), moving_frames(4, size=(64, 48)))
    one, other = (rendered(f"{n}.mkv", "--look", n, model="looks", capsys=capsys) for n in ("1", "2"))
    assert one.shape == other.shape == (4, 48, 64, 3)


def test_looks_are_numbers_pictures_key_frames_and_shots(clip: Path, model: Path, capsys: Capsys) -> None:
    middle, seven = (rendered(f"{n}.mkv", *flags, capsys=capsys) for n, flags in ((0, ()), (7, ("--look", "7"))))
    assert np.abs(middle - seven).mean() > 1
    like = rendered("p.mkv", "--look", picture("p.png", 3), capsys=capsys)
    led = rendered("k.mkv", "--look", "0: 7, 11: p.png", capsys=capsys)
    assert np.array_equal(led[0], seven[0])
    assert np.array_equal(led[-1], like[-1])
    shots = rendered("s.mkv", "--look", "shots:7", capsys=capsys)
    first, second = (np.abs(shots[part] - seven[part]).mean() for part in (slice(0, 6), slice(6, 12)))
    assert first == 0  # the first shot has the look of the number itself
    assert min(second, np.abs(shots - like).mean()) > 0.5


def test_a_picture_that_changed_is_rendered_anew(clip: Path, model: Path, capsys: Capsys) -> None:
    ask = ["stylize", clip, "--model", "m", "--look", picture("p.png", 1), "-o", "o.mkv", *EXACT]
    said(capsys, 0, *ask)
    assert "up to date" in said(capsys, 0, *ask)
    picture("p.png", 2)
    before = Path("o.mkv").read_bytes()
    assert "up to date" not in said(capsys, 0, *ask, "--overwrite")
    assert Path("o.mkv").read_bytes() != before
    assert "p.png" in refuse(capsys, 2, *ask[:-4], "-o", "p.png", "--overwrite")


def test_try_shows_looks_beside_each_other(clip: Path, model: Path, capsys: Capsys) -> None:
    ask = ("try", clip, "--model", "m", "--frames", "1", "-o")
    vary = ("grid.png", "--vary", f"look=1,2,{picture('p.png', 3)}")
    assert said_json(capsys, *ask, *vary)["columns"] == ["source", "m", "--look 1", "--look 2", "--look p.png"]
    assert said_json(capsys, *ask, *vary)["cached"]
    assert "--look 2" in said_json(capsys, *ask, "other.png")["columns"]


def test_a_look_that_does_not_fit_is_refused_in_a_line(clip: Path, model: Path, capsys: Capsys) -> None:
    make_model("plain.safetensors", "edges")
    make_coded_model("m2.safetensors", "aligned", seed=2)
    Path("bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    for names, flags, status, why in (
        (("m",), ("--look", "ink"), 2, "takes a number or a picture"),
        (("m",), ("--look", "gone.png"), 2, "there is no such file"),
        (("m",), ("--look", "bad.png"), 3, "--look bad.png"),
        (("m",), ("--stroke-size", "1"), 2, "was not made by 'vidtrans look'"),
        (("plain",), ("--look", "3"), 2, "has one look"),
        (("m", "m2"), ("--look", "3"), 2, "the option applies to one model only"),
    ):
        models = [part for name in names for part in ("--model", name)]
        assert why in refuse(capsys, status, "stylize", clip, *models, "-o", "o.mkv", *flags)


@pytest.mark.thorough
def test_a_chain_tells_its_one_model_of_many_looks(clip: Path, capsys: Capsys) -> None:
    make_coded_model("m.safetensors", "aligned")
    make_grade("dark.cube")
    first, second = "dark.cube", "m"
    looks = [rendered(f"{n}.mkv", "--model", second, "--look", n, model=first, capsys=capsys) for n in ("1", "2")]
    alone = rendered("alone.mkv", "--look", "1", capsys=capsys)
    assert min(np.abs(looks[0] - looks[1]).mean(), np.abs(looks[0] - alone).mean()) > 1


def test_a_look_is_part_of_an_exported_file(model: Path, capsys: Capsys) -> None:
    ask, made = ("model", "export", "m", "--format", "torchscript", "--whole", "--look"), []
    for look in ("3", picture("p.png", 1)):
        table = said_json(capsys, *ask, look, "-o", "made.pt", "--overwrite")
        assert table["max_difference"] <= 1 / 127.5 + 1e-5
        made.append(Path("made.pt").read_bytes())
    assert made[0] != made[1]
    assert "one look" in refuse(capsys, 2, *ask, "0: 1, 5: 2")
    assert "they cannot hold a style code" in refuse(capsys, 2, "model", "export", "m", "--format", "pth")
