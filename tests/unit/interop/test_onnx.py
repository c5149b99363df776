"""ONNX files: what they take is found, what could do harm is refused, what they paint; styles beside the picture."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'vidtrans[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'vidtrans[onnx]'")

from onnx import TensorProto, helper  # noqa: E402
from onnx_graphs import FREE, bombs, constant, fixed_and_normed, hostile, mean_colour, model, painter, save, tinter  # noqa: E402

from vidtrans.core.errors import MediaError, ModelError, UsageError  # noqa: E402
from vidtrans.inference.compiled import OnnxEngine  # noqa: E402
from vidtrans.inference.device import Device  # noqa: E402
from vidtrans.inference.torch_engine import TorchEngine  # noqa: E402
from vidtrans.interop.onnx import trial  # noqa: E402
from vidtrans.interop.onnx.onnx_format import OnnxFormat  # noqa: E402
from vidtrans.interop.onnx.trial import trial_picture  # noqa: E402
from vidtrans.models.formats import (  # noqa: E402
    Hints,
    detect_format,
    load_format,
)
from vidtrans.models.model_file import load_generator, save_model  # noqa: E402
from vidtrans.models.model_record import NORMALISATION, ModelRecord  # noqa: E402
from vidtrans.networks.init import build_generator  # noqa: E402
from vidtrans.networks.ports import IMAGENET_MEAN, IMAGENET_STD  # noqa: E402
from vidtrans.pairing.look_pairing import LookPairing  # noqa: E402
from vidtrans.pairing.pairing_records import make_pairing  # noqa: E402

CPU = Device("cpu", "cpu")
RANGES = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try networks here: half the time of a trial is the start of its process. Bombs and the command line start one."""

    def answer(command: list[str], input: bytes, **_: object) -> subprocess.CompletedProcess[bytes]:
        request = json.loads(input)
        try:
            run = trial.TrialRun(request)
            found = run.predict() if "pictures" in request else run.find()
        except trial.TrialError as error:
            found = {"error": str(error)}
        return subprocess.CompletedProcess(command, 0, json.dumps(found).encode())

    monkeypatch.setattr(trial, "subprocess", SimpleNamespace(run=answer, TimeoutExpired=TimeoutError))


def picture(height: int = 96, width: int = 128, seed: int = 3) -> np.ndarray:
    return np.rint(trial_picture(height, width, seed) * 255).astype(np.uint8)


def painted(path: Path, shown: np.ndarray) -> np.ndarray:
    return TorchEngine(load_generator(path)[0], CPU)(shown[None])[0]


def described(path: Path, **hints: Any) -> Any:
    return OnnxFormat().describe(path, Hints(**hints))


@pytest.mark.parametrize("name", RANGES)
def test_the_range_that_a_network_takes_is_found_by_trying(name: str) -> None:
    shape = (None, 3, None, None) if name == "0..1" else FREE  # axes without names are free, too
    path = save(Path("n.onnx"), painter(RANGES[name], RANGES[name], shape=shape, out=FREE))
    assert detect_format(path) == "onnx"
    shown = picture()
    assert np.abs(painted(path, shown).astype(int) - (255 - shown.astype(int))).max() <= 1


@pytest.mark.parametrize(
    ("mean", "std", "taken", "bgr"),
    [
        ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "0..255", False),
        ((103.53, 116.28, 123.675), (1.0, 1.0, 1.0), "0..255", True),
        ((0.5,), (0.5,), "0..1", False),
    ],
)
def test_a_normalisation_tells_the_range(
    mean: tuple[float, ...], std: tuple[float, ...], taken: str, bgr: bool
) -> None:
    constants = [constant(name, np.reshape(v, (1, -1, 1, 1))) for name, v in (("mean", mean), ("std", std))]
    steps = ("Sub", ["x", "mean"], ["a"]), ("Div", ["a", "std"], ["b"]), ("Sigmoid", ["b"], ["y"])
    nodes = [helper.make_node(*step) for step in steps]
    made = described(save(Path("n.onnx"), model(nodes, constants=constants)))
    low, high = RANGES[taken]
    assert made.ports["in_scale"] == pytest.approx([(high - low) / 2])
    assert made.ports["bgr"] is bgr
    assert any("the graph normalises its input itself" in note for note in made.notes)


def test_where_ranges_are_in_doubt_a_person_is_asked() -> None:
    conv = helper.make_node("Conv", ["x", "weight"], ["found"], pads=[1, 1, 1, 1])
    lines = [conv, helper.make_node("Abs", ["found"], ["y"])]
    weight = np.tile(np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]]) / 8, (1, 3, 1, 1))
    weight[0, 0] += 0.4
    graph = model(lines, out=("batch", 1, "height", "width"), constants=[constant("weight", weight)])
    path = save(Path("n.onnx"), graph)
    with pytest.raises(UsageError, match=r"the value range of its input is not clear.*--range"):
        described(path)
    assert len(described(path, range="imagenet").ports["in_scale"]) == 3


@pytest.mark.parametrize(
    ("matrix", "shift", "scale", "kind", "number"),
    [
        ([[-1, 0, 0], [0, 0.5, 0], [0.25, 0, 0.5]], [1, 0.25, 0.1], [0.5], TensorProto.FLOAT16, np.float16),
        (np.diag(IMAGENET_STD), IMAGENET_MEAN, [0.5 / s for s in IMAGENET_STD], TensorProto.FLOAT, np.float32),
    ],
    ids=["colours", "imagenet"],
)
def test_a_range_that_cuts_off_is_unlikely(
    matrix: Any, shift: Any, scale: list[float], kind: int, number: type
) -> None:
    conv = helper.make_node("Conv", ["x", "matrix", "shift"], ["c"])
    nodes = [conv, helper.make_node("Clip", ["c", "zero", "one"], ["y"])]
    values = {"matrix": np.reshape(matrix, (3, 3, 1, 1)), "shift": shift, "zero": 0, "one": 1}
    constants = [constant(name, value, number) for name, value in values.items()]
    made = described(save(Path("n.onnx"), model(nodes, kind=kind, constants=constants)))
    assert made.ports["in_scale"] == pytest.approx(scale)


@pytest.mark.parametrize(
    "options",
    [
        {"kind": TensorProto.UINT8},
        *({"shape": shape, "out": shape} for shape in ((1, "h", "w", 3), (3, "h", "w"), (4, 3, "h", "w"))),
    ],
    ids=str,
)
def test_axes_are_found_and_other_types_are_fed_as_they_are(options: dict[str, Any]) -> None:
    path = save(Path("n.onnx"), model([helper.make_node("Identity", ["x"], ["y"])], **options))
    shown = picture()
    assert np.array_equal(painted(path, shown), shown)


def test_a_fourth_channel_is_opaque_and_left_out_of_the_picture() -> None:
    shape = ("b", 4, "h", "w")
    slice_ = helper.make_node("Slice", ["x", "from", "to", "one"], ["x4"])
    cut = [constant(n, [v], np.int64) for n, v in (("from", 3), ("to", 4), ("one", 1))]
    path = save(Path("n.onnx"), model([slice_, helper.make_node("Mul", ["x", "x4"], ["y"])], shape, shape, cut))
    shown = picture()
    assert np.array_equal(painted(path, shown), shown)


def test_the_multiple_that_sides_must_have_is_found() -> None:
    multiple = 14
    pool = helper.make_node("AveragePool", ["x"], ["small"], kernel_shape=[multiple] * 2, strides=[multiple] * 2)
    nodes = [pool, helper.make_node("Resize", ["small", "", "scales"], ["y"], mode="nearest")]
    path = save(Path("n.onnx"), model(nodes, constants=[constant("scales", [1, 1, multiple, multiple])]))
    generator, record = load_generator(path)
    assert generator.multiple == multiple
    assert record.size == 512
    assert painted(path, picture(50, 61)).shape == (50, 61, 3)


def test_an_upscaler_enlarges_its_source() -> None:
    nodes = [helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="nearest")]
    path = save(Path("n.onnx"), model(nodes, constants=[constant("scales", [1, 1, 2, 2])]))
    made = described(path)
    assert made.pairing == {"name": "enlarge", "settings": {"factor": 2}}
    generator, record = load_generator(path)
    assert record.in_channels == 3
    assert generator(torch.zeros(1, 3, 32, 64)).shape == (1, 3, 32, 64)


def test_of_several_outputs_the_fused_one_is_taken() -> None:
    kinds = (("ReduceMean", "first"), ("ReduceMax", "second"))
    nodes = [helper.make_node(kind, ["x"], [name], axes=[1]) for kind, name in kinds]
    nodes += [helper.make_node("Add", ["first", "second"], ["sum"]), helper.make_node("Mul", ["sum", "half"], ["y"])]
    graph = model(nodes, out=("batch", 1, "height", "width"), constants=[constant("half", 0.5)])
    for name in ("first", "second"):
        graph.graph.output.insert(0, helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", 1, "h", "w")))
    made = described(save(Path("n.onnx"), graph), range="0..1")
    assert made.generator["settings"]["output"] == 2
    assert any("3 outputs are pictures" in note for note in made.notes)


def in_our_format(path: Path, made: Any, **settings: Any) -> Path:
    """A model file of ours around a graph, as a stranger may write one."""
    data = made.SerializeToString()
    table = {"name": "onnx-graph", "settings": {"bytes": len(data), **settings}}
    built = build_generator(table["name"], table["settings"], 3)
    built.get_buffer("data").copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    save_model(path, built, ModelRecord(table, {"name": "aligned", "settings": {}}, 3, 3, 64, NORMALISATION, {}, {}))
    return path


@pytest.mark.parametrize(("name", "graph", "said"), list(hostile()), ids=[name for name, *_ in hostile()])
def test_hostile_graphs_are_refused_before_anything_runs_in_a_file_of_their_own_and_in_a_model_file(
    name: str, graph: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "subprocess", None)
    path = save(Path("n.onnx"), graph)
    with pytest.raises(ModelError, match=said) as caught:
        described(path)
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir()) == ["n.onnx"]
    with pytest.raises(ModelError, match=said):
        load_generator(in_our_format(Path("m.safetensors"), graph))


def test_what_takes_all_memory_ends_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "subprocess", subprocess)
    monkeypatch.setattr(trial, "MEMORY_BYTES", 3 << 30)
    with pytest.raises(ModelError, match=r"n\.onnx"):
        described(save(Path("n.onnx"), next(iter(bombs()))[1]))


def test_damaged_files_are_refused_wherever_they_are_cut_or_a_byte_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    data = painter((0, 1), (0, 1)).SerializeToString()
    for length in (len(data) // 3, len(data) // 2, len(data) - 1):
        Path("n.onnx").write_bytes(data[:length])
        assert load_format("onnx").detect(Path("n.onnx"))
        with pytest.raises(ModelError):
            described(Path("n.onnx"))

    def end_without_trial(path: Path, *rest: object) -> None:
        raise ModelError(str(path), "checked")

    monkeypatch.setattr("vidtrans.interop.onnx.onnx_format.run_trial", end_without_trial)
    random = np.random.default_rng(0)
    for at in random.permutation(len(data))[:150]:
        damaged = bytearray(data)
        damaged[at] ^= int(random.integers(1, 256))
        Path("n.onnx").write_bytes(damaged)
        with pytest.raises(ModelError):
            described(Path("n.onnx"))


def test_tiles_of_a_network_with_instance_norms_have_the_tones_of_the_whole() -> None:
    path = save(Path("n.onnx"), fixed_and_normed(64, 64))
    generator, _ = load_generator(path)
    assert generator.sees_whole
    grey = np.repeat(np.linspace(30, 220, 256).astype(np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    means = painted(path, grey)[..., 0].mean(axis=0)
    # By itself each tile would go from dark to light again.
    assert (np.diff(means.reshape(8, 32).mean(axis=1)) > 0).all()
    generator.sees_whole = False
    alone = TorchEngine(generator, CPU)(grey[None])[0, ..., 0].mean(axis=0)
    assert (np.diff(alone.reshape(8, 32).mean(axis=1)) < 0).any()


def test_an_imported_graph_is_the_same_in_our_file_and_in_copies_and_other_engines_refuse_it() -> None:
    path, shown = save(Path("n.onnx"), painter((0, 255), (0, 255))), picture()
    generator, record = load_generator(path)
    save_model(Path("n.safetensors"), generator, record)
    wanted = TorchEngine(generator, CPU)(shown[None])[0]
    assert np.array_equal(painted(Path("n.safetensors"), shown), wanted)
    for twin in (copy.deepcopy(generator), pickle.loads(pickle.dumps(generator))):
        assert np.array_equal(TorchEngine(twin, CPU)(shown[None])[0], wanted)
    with pytest.raises(UsageError, match="use --engine torch"):
        OnnxEngine(generator, CPU)


def test_without_onnx_runtime_it_is_one_line_and_the_file_is_still_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "find_spec", lambda name: None)
    path = save(Path("n.onnx"), painter((0, 1), (0, 1)))
    assert detect_format(path) == "onnx"
    with pytest.raises(UsageError, match=r"ONNX Runtime is not installed.*pip install 'vidtrans\[onnx\]'"):
        described(path)


@pytest.mark.parametrize("settings", [{"out_layout": "hw"}, {"output": 5}, {"enlarges": 2}, {"shrinks": 2}])
def test_a_record_that_says_what_its_graph_does_not_give_is_refused(settings: dict[str, Any]) -> None:
    path = in_our_format(Path("m.safetensors"), painter((0.0, 1.0), (0.0, 1.0)), **settings)
    with pytest.raises(ModelError, match="ONNX graph"):
        painted(path, picture())


TINTS = np.array([[1.0, 0.5, 0.25], [0.25, 1.0, 0.5], [0.75, 0.25, 1.0], [0.5, 0.5, 0.5]])
GREY = np.full((24, 32, 3), 200, np.uint8)


def looks_painted(generator: Any, record: ModelRecord, *shares: float) -> np.ndarray:
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
        assert np.abs(looks_painted(generator, record, *look) - 200 * tint).max() <= 1
    mixed = looks_painted(generator, record, 0.5, 0.5, 0, 0)
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
    assert np.abs(looks_painted(generator, record, 0, 1) - (80, 200, 0)).max() <= 2
    assert np.abs(looks_painted(generator, record, 0.5, 0.5) - (60, 140, 80)).max() <= 2
    alone = described(path, predictor=predictor, styles=(("sky", pictures["sky"]),))
    generator, record = OnnxFormat().load_described(path, alone)
    assert record.in_channels == 3
    assert np.abs(looks_painted(generator, record, 1) - (40, 80, 160)).max() <= 2


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


def looks_in_our_format(path: Path, made: Any, conditions: int, **settings: Any) -> Path:
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
        path = looks_in_our_format(Path("m.safetensors"), tinter(TINTS, [4]), 4, **wrong)
        with pytest.raises(ModelError, match="ONNX graph"):
            looks_painted(*load_generator(path), 1, 0, 0, 0)
    with pytest.raises(ValueError, match="number of the network's looks"):
        looks_in_our_format(Path("m.safetensors"), tinter(TINTS, [4]), 3)
    with pytest.raises(UsageError, match="do not fit together"):
        looks_in_our_format(Path("m.safetensors"), tinter(TINTS, [4]), 4, style_shape=[])


def test_other_files_are_not_taken_for_onnx() -> None:
    for data in (b"", b"\x08", b"\x08\x07", b"PK\x03\x04" * 9, bytes(1000), b"\x80\x02}q\x00.", b"# words\n" * 99):
        Path("other").write_bytes(data)
        assert not load_format("onnx").detect(Path("other"))
