"""ONNX files that take a style vector beside the picture: a weight for each look, or predicted numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'vidtrans[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'vidtrans[onnx]'")

from onnx import TensorProto  # noqa: E402
from onnx_graphs import mean_colour, painter, save, tinter  # noqa: E402

from vidtrans.core.errors import MediaError, ModelError, UsageError  # noqa: E402
from vidtrans.inference.device import Device  # noqa: E402
from vidtrans.inference.torch_engine import TorchEngine  # noqa: E402
from vidtrans.interop.onnx import trial, trial_process  # noqa: E402
from vidtrans.interop.onnx.onnx_format import OnnxFormat  # noqa: E402
from vidtrans.models.foreign_format import ForeignModel, Hints  # noqa: E402
from vidtrans.models.model_file import load_generator, save_model  # noqa: E402
from vidtrans.models.model_record import ModelRecord  # noqa: E402
from vidtrans.networks.init import build_generator  # noqa: E402
from vidtrans.pairing.look_pairing import LookPairing  # noqa: E402
from vidtrans.pairing.pairing_records import make_pairing  # noqa: E402

CPU = Device("cpu", "cpu")
TINTS = np.array([[1.0, 0.5, 0.25], [0.25, 1.0, 0.5], [0.75, 0.25, 1.0], [0.5, 0.5, 0.5]])
GREY = np.full((24, 32, 3), 200, np.uint8)


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(path: Path, request: dict[str, Any]) -> dict[str, Any]:
        try:
            run = trial_process.TrialRun(json.loads(json.dumps(request)), onnxruntime)
            found = run.predict() if "pictures" in request else run.find()
        except trial_process.TrialError as error:
            return {"error": str(error)}
        return json.loads(json.dumps(found))  # type: ignore[no-any-return]

    monkeypatch.setattr(trial, "_answer", answer)


def described(path: Path, **hints: Any) -> ForeignModel:
    return OnnxFormat().describe(path, Hints(**hints))


def painted(generator: Any, record: ModelRecord, *shares: float) -> np.ndarray:
    """The colour (3,) that a model paints a grey picture in, with weights of its looks."""
    pairing = make_pairing(record.pairing["name"], record.pairing["settings"])
    assert isinstance(pairing, LookPairing)
    given = pairing.conditioned(GREY, np.array(shares), 0.5)
    picture = TorchEngine(generator, CPU)(given[None])[0]
    colour: np.ndarray = picture[4, 4].astype(int)
    return colour


def colour_picture(name: str, *colour: int) -> Path:
    cv2.imwrite(name, np.full((40, 60, 3), colour[::-1], np.uint8))
    return Path(name)


SHAPES: list[dict[str, Any]] = [
    {"vector": [1, 1, 1, 4], "shape": (1, "h", "w", 3), "first": "style"},
    {"vector": [4], "kind": TensorProto.FLOAT16},
    {"vector": [4], "shape": (1, 3, 24, 32)},
]


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_a_vector_beside_the_picture_holds_the_weights_of_looks(options: dict[str, Any]) -> None:
    path = save(Path("n.onnx"), tinter(TINTS, **options))
    generator, record = load_generator(path)
    names = [f"style-{n}" for n in (1, 2, 3, 4)]
    assert record.pairing["name"] == "look"
    assert record.pairing["settings"] | {"looks": names, "strokes": False} == record.pairing["settings"]
    for look, tint in zip(np.eye(4), TINTS, strict=True):
        assert np.abs(painted(generator, record, *look) - 200 * tint).max() <= 1
    mixed = painted(generator, record, 0.5, 0.5, 0, 0)
    assert np.abs(mixed - 200 * (TINTS[0] + TINTS[1]) / 2).max() <= 1
    assert "each of the 4 numbers of its input 'style' is the weight of a look" in "".join(described(path).notes)


@pytest.mark.parametrize(("side", "out"), [(8, (1, 1, 1, 3)), ("n", (1, 3))])
def test_styles_of_pictures_are_predicted_by_a_network_of_its_own(side: int | str, out: tuple[int, ...]) -> None:
    path = save(Path("n.onnx"), tinter(np.eye(3), [1, 1, 1, 3], (1, "h", "w", 3)))
    predictor = save(Path("p.onnx"), mean_colour(side, out))
    pictures = {"sky": colour_picture("sky.png", 51, 102, 204), "leaf": colour_picture("leaf.png", 102, 255, 0)}
    made = described(path, predictor=predictor, styles=tuple(pictures.items()))
    assert np.abs(np.array(made.styles) - [[0.2, 0.4, 0.8], [0.4, 1, 0]]).max() < 0.01
    generator, record = OnnxFormat().load_described(path, made)
    assert record.pairing["settings"]["looks"] == ["sky", "leaf"]
    assert np.abs(painted(generator, record, 0, 1) - (80, 200, 0)).max() <= 2
    assert np.abs(painted(generator, record, 0.5, 0.5) - (60, 140, 80)).max() <= 2
    alone = described(path, predictor=predictor, styles=(("sky", pictures["sky"]),))
    generator, record = OnnxFormat().load_described(path, alone)
    assert record.in_channels == 3
    assert np.abs(painted(generator, record, 1) - (40, 80, 160)).max() <= 2


def test_a_style_of_more_numbers_than_looks_needs_a_predictor() -> None:
    path = save(Path("n.onnx"), tinter(np.ones((100, 3)), [1, 1, 1, 100]))
    with pytest.raises(UsageError, match=r"takes the 100 numbers of a style.*--predictor FILE\.onnx --style PICTURE"):
        OnnxFormat().read_record(path)


def test_a_predictor_that_does_not_fit_is_named(tmp_path: Path) -> None:
    path = save(Path("n.onnx"), tinter(TINTS, [4]))
    fits, other = save(Path("p.onnx"), mean_colour(8, (1, 3))), save(Path("plain.onnx"), painter((0, 1), (0, 1)))
    picture = colour_picture("sky.png", 51, 102, 204)

    def refuse(error: type[Exception], said: str, path: Path = path, **hints: Any) -> None:
        with pytest.raises(error, match=said) as caught:
            described(path, **{"predictor": fits, "styles": (("sky", picture),)} | hints)
        assert "\n" not in str(caught.value)

    refuse(
        ModelError, r"^p\.onnx: no output is a style of 4 numbers \(its outputs are \[1, 3\]\) — give the network that"
    )
    refuse(UsageError, r"^--predictor p\.onnx: plain\.onnx takes a picture alone", path=other)
    refuse(ModelError, r"^n\.onnx: it takes a style itself", predictor=path)
    refuse(ModelError, r"^sky\.png: it is a picture, not a model", predictor=picture)
    cube = Path("grade.cube")
    cube.write_text("LUT_3D_SIZE 2\n" + "0 0 0\n" * 8)
    refuse(UsageError, r"^--predictor grade\.cube: it is no ONNX file", predictor=cube)
    refuse(ModelError, r"^none\.onnx: no such file", predictor=Path("none.onnx"))
    refuse(MediaError, r"^--style none\.png: no such file", styles=(("none", Path("none.png")),))
    nothing = mean_colour(8, (1, 3))
    nothing.graph.node[0].op_type = "ReduceLogSum"  # of black
    broken = save(Path("nan.onnx"), nothing)
    black = colour_picture("black.png", 0, 0, 0)
    tint = save(Path("three.onnx"), tinter(TINTS[:3], [3]))
    refuse(ModelError, r"^nan\.onnx: .* not finite", path=tint, predictor=broken, styles=(("black", black),))


def in_our_format(path: Path, made: Any, conditions: int, **settings: Any) -> Path:
    """A model file around a graph with looks, as a stranger may write one."""
    generator, record = load_generator(save(Path("n.onnx"), made))
    table, ports = record.generator["settings"] | settings, record.ports | {"conditions": conditions}
    looks = {"looks": [f"look-{n}" for n in range(conditions)], "strokes": False}
    built = build_generator("onnx-graph", table, 3 + conditions, ports=ports)
    built.network.get_buffer("data").copy_(generator.network.get_buffer("data"))
    generator_table, pairing = {"name": "onnx-graph", "settings": table}, {"name": "look", "settings": looks}
    made_record = replace(record, generator=generator_table, pairing=pairing, in_channels=3 + conditions, ports=ports)
    save_model(path, built, made_record)
    return path


def test_a_record_that_does_not_fit_its_graph_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ({"picture_input": 1}, {"style_shape": [5]}):
        path = in_our_format(Path("m.safetensors"), tinter(TINTS, [4]), 4, **wrong)
        with pytest.raises(ModelError, match="ONNX graph"):
            painted(*load_generator(path), 1, 0, 0, 0)
    with pytest.raises(ValueError, match="number of the network's looks"):
        in_our_format(Path("m.safetensors"), tinter(TINTS, [4]), 3)
    with pytest.raises(UsageError, match="do not fit together"):
        in_our_format(Path("m.safetensors"), tinter(TINTS, [4]), 4, style_shape=[])
