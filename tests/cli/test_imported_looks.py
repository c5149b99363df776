"""ONNX networks of many looks, as a person uses them: imported or as they are, a look chosen by name and in time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import refuse, said
from clips import decode, write_clip

from vidtrans.live.live_controls import describe_model
from vidtrans.models.loaded_model import load_model
from vidtrans.session import Context

pytest.importorskip("onnxruntime")
graphs = pytest.importorskip("onnx_graphs")

pytestmark = pytest.mark.usefixtures("one_thread")
Capsys = pytest.CaptureFixture[str]
IMPORT = ("model", "import")
EXACT = ["--codec", "ffv1", "--temporal", "off", "--upscale", "bicubic", "--size", "source"]
TINTS = np.array([[1.0, 0.5, 0.25], [0.25, 1.0, 0.5], [0.75, 0.25, 1.0]])
LEVEL = 200


@pytest.fixture
def clip() -> Path:
    frames = [np.full((48, 64, 3), LEVEL, np.uint8)] * 11
    return write_clip(Path("c.mkv"), frames, rate=Fraction(11), codec="ffv1")


@pytest.fixture
def network() -> Path:
    path: Path = graphs.save(Path("tints.onnx"), graphs.tinter(TINTS, [3]))
    return path


def colours(capsys: Capsys, model: str, *flags: str) -> np.ndarray:
    said(capsys, 0, "stylize", "c.mkv", "--model", model, "-o", "out.mkv", "--overwrite", *flags, *EXACT)
    return np.array(decode(Path("out.mkv"))[2], np.int16)[:, 20, 30]


def picture(name: str, *colour: int) -> str:
    cv2.imwrite(name, np.full((40, 60, 3), colour[::-1], np.uint8))
    return name


@pytest.mark.usefixtures("clip")
def test_a_network_of_weights_becomes_a_model_of_looks(network: Path, capsys: Capsys) -> None:
    text = said(capsys, 0, *IMPORT, network)
    assert "made tints.safetensors: ONNX graph, 3 looks, rendered at 512 px" in text
    assert "looks: style-1, style-2, style-3 (each of the 3 numbers of its input 'style'" in text
    for model in ("tints.safetensors", "tints.onnx"):
        assert np.abs(colours(capsys, model) - LEVEL * TINTS[0]).max() <= 2
        assert np.abs(colours(capsys, model, "--look", "style-3") - LEVEL * TINTS[2]).max() <= 2
    turned = colours(capsys, "tints.safetensors", "--look", "0: style-1, 10: style-2")
    for number, colour in enumerate(turned):
        wanted = LEVEL * ((10 - number) * TINTS[0] + number * TINTS[1]) / 10
        assert np.abs(colour - wanted).max() <= 2
    chain = ("--model", "tints.safetensors", "--look", "style-2")
    assert np.abs(colours(capsys, "identity", *chain) - LEVEL * TINTS[1]).max() <= 2
    said(capsys, 0, *IMPORT, network, "-o", "day.safetensors", "--set", 'pairing.looks=["dawn", "noon", "dusk"]')
    assert np.abs(colours(capsys, "day", "--look", "dusk") - LEVEL * TINTS[2]).max() <= 2
    said(capsys, 0, "try", "c.mkv", "--model", "day", "--vary", "look=noon,dusk", "--frames", "1", "-o", "t.png")
    shown = describe_model(load_model("day", Context(cache_dir=Path(".vidtrans"))))
    assert (shown["looks"], shown["strokes"]) == (["dawn", "noon", "dusk"], False)


@pytest.mark.usefixtures("clip")
def test_what_does_not_fit_is_one_line(network: Path, capsys: Capsys) -> None:
    numbers = graphs.save(Path("numbers.onnx"), graphs.tinter(np.ones((100, 3)), [1, 100]))
    sky = picture("sky.png", 51, 102, 204)
    use = ("stylize", "c.mkv", "-o", "o.mkv", "--model")
    cases: list[tuple[tuple[object, ...], int, str]] = [
        ((*use, network, "--look", "style-4"), 2, "unknown look 'style-4'"),
        ((*use, network, "--stroke-size", "0.2"), 2, "--stroke-size: 'tints' was not made by 'vidtrans look'"),
        ((*use, network, "--model", network, "--look", "style-1"), 2, "'tints' and 'tints' have looks"),
        ((*use, numbers), 2, "--predictor FILE.onnx --style PICTURE"),
        ((*IMPORT, network, "--pairing", "none"), 3, "it has 3 looks, which are no part of the pairing 'aligned'"),
        ((*IMPORT, network, "--set", 'pairing.looks=["a", "b"]'), 3, "give 3 names with --set pairing.looks=…"),
        ((*IMPORT, network, "--set", "pairing.strokes=true"), 3, "it has 3 looks"),
        ((*IMPORT, network, "--predictor", network), 2, "--predictor: a network finds the style of a picture"),
        ((*IMPORT, numbers, "--predictor", network, "--style", sky, "--style", sky), 2, "two pictures have this name"),
    ]
    for command, status, words in cases:
        assert words in refuse(capsys, status, *command)
    assert not list(Path().glob("*.safetensors"))
