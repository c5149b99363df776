"""Every export format with every generator and every pairing: what is written computes what the model does."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from clips import scene
from imports import imported
from torch import nn
from variants import least

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.settings import Table, from_table
from vidtrans.inference.torch_engine import to_pictures
from vidtrans.interop import torchscript_process
from vidtrans.interop.exporting import EXPORTS, graphs
from vidtrans.interop.exporting.base import ExportSubject
from vidtrans.interop.exporting.graphs import pairing_operators, render_input, run_model
from vidtrans.interop.onnx import trial
from vidtrans.interop.torchscript import TorchScriptFormat
from vidtrans.models.formats import ForeignFormat, Hints, detect_format, load_format
from vidtrans.models.model_record import NORMALISATION, ModelRecord, parse_record
from vidtrans.networks import GENERATORS
from vidtrans.networks.init import build_generator, initialise, inner_generator
from vidtrans.networks.ports import PortSettings, named_range
from vidtrans.networks.wrappers import AdaptedGenerator
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.look_pairing import LookPairing, look_conditions
from vidtrans.pairing.pairing_records import make_pairing

pytestmark = pytest.mark.usefixtures("one_thread")
GRAPHS = [name for name, entry in EXPORTS.items() if entry.takes_whole]  # what computes; others hold weights
CANNOT = {"regions", "inpaint", "labels", "change", "simplify", "stack", "model"}  # those in docs/guides/export.md
VARIANTS: dict[str, list[Table]] = {
    "edges": [{"gradient_channel": True, "tone_channel": True}, {"sigma": 4.0, "density": 0.4, "hysteresis": 0.1}],
    "sketch": [{"shading": 0.5, "sigma": 2.0}],
    "enlarge": [{"factor": 3}, {"factor": 4}],
    "look": [{"looks": ("ink", "oil")}],
}
# Every generator goes into every format; variants of one, and pairings, each into one format, in turns. Of one network
# at several sizes the first is written: the smallest of each is the same. Most are of the second tier.
SHARED = {GENERATORS.load(name).__init__: name for name in reversed(list(GENERATORS))}
WRITTEN = [(name, table) for name in PAIRINGS if name not in CANNOT for table in ({}, *VARIANTS.get(name, []))]
NETWORKS: list[tuple[str, Table]] = [
    *((name, {}) for name in SHARED.values()),
    ("residual", {"norm": "instance", "self_attention": True, "squeeze_excitation": True, "upsample": "bilinear"}),
    ("unet-64", {"norm": "picture", "upsample": "pixel-shuffle", "skip_connections": False}),
    ("hd", {"enhancers": 1, "conv_bias": True}),
    ("spade", {"norm": "instance", "spectral": False}),
    ("residual", {"norm": "plain-instance", "blur_down": True, "blur_up": True}),
]
FORMATS_OF_NETWORKS = [
    (generator, table, name)
    for number, (generator, table) in enumerate(NETWORKS)
    for name in (GRAPHS if not table else [GRAPHS[number % len(GRAPHS)]])
]
FORMATS_OF_PAIRINGS = [
    (pairing, settings, GRAPHS[number % len(GRAPHS)])
    for number, (pairing, settings) in enumerate(WRITTEN)
    if pairing != "aligned" and (not settings or pairing in ("look", "enlarge"))
]
FIRST_NETWORKS = {"unet-64 onnx", "predicted-style onnx", "warp-mix torchscript", "colour-map torchscript"}
FIRST_PAIRINGS = {"edges", "look", "enlarge", "next-frame", "grade"}
FOREIGN = [
    {"bgr": True, **named_range("0..255")},
    {"invert": True, "out_channels": 1, **named_range("imagenet")},
    {"in_channels": 1, **named_range("0..1")},
]


def tiered(cases: list[tuple[Any, ...]], first: set[str]) -> list[Any]:
    """Those of the first tier are in ``first``: NAME, or NAME FORMAT, and have their default settings."""
    marks = [[] if {c[0], f"{c[0]} {c[-1]}"} & first and not c[1] else [pytest.mark.thorough] for c in cases]
    return [pytest.param(*case, marks=mark) for case, mark in zip(cases, marks, strict=True)]


def lively(network: nn.Module) -> Any:
    """Draw weights with which a picture's contrast reaches the output, which those of a fresh network would lose."""
    initialise(network, 0)
    rng = torch.Generator().manual_seed(1)
    for name, parameter in network.named_parameters():
        if name == "nodes":
            parameter.data += 0.3 * torch.rand(parameter.shape, generator=rng)
        elif parameter.ndim == 4:
            nn.init.normal_(parameter, 0, (2 / parameter[0].numel()) ** 0.5, generator=rng)
        elif "gate" in name:
            parameter.data.fill_(0.5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1, generator=rng)
            module.running_var.uniform_(0.5, 1.5, generator=rng)  # type: ignore[union-attr]
    return network.eval()


def subject(generator: str, table: Table, pairing: str = "aligned", settings: Table | None = None) -> ExportSubject:
    """A model of small networks; whole where its pairing is not 'aligned'."""
    made = make_pairing(pairing, settings or {})
    wanted = least(GENERATORS, generator) | table
    if "channels" in wanted:
        wanted["channels"] = max(8, wanted["channels"])
    network = lively(build_generator(generator, wanted, made.in_channels))
    names = {"name": generator, "settings": wanted}, {"name": pairing, "settings": settings or {}}
    record = ModelRecord(*names, made.in_channels, 3, 64, NORMALISATION, {}, {"author": "tests"})
    conditions = look_conditions(made, made.settings.looks[-1], 0.25) if isinstance(made, LookPairing) else ()
    return ExportSubject("model", network, record, made, pairing != "aligned", conditions)


def written(model: ExportSubject, name: str) -> Table:
    """Write a file and return the report; skip where what writes it is absent."""
    if name == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    return EXPORTS.load(name)().write(Path("file"), model)


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert TorchScript here: the start of a process takes longer."""

    def convert(command: list[str], input: bytes, **_: object) -> subprocess.CompletedProcess[bytes]:
        request = json.loads(input)
        path, target, channels = (request[key] for key in ("path", "target", "channels"))
        torchscript_process.convert(path, target, channels, exported=request["exported"])
        return subprocess.CompletedProcess(command, 0, b'{"error": ""}')

    monkeypatch.setattr(trial, "subprocess", SimpleNamespace(run=convert, TimeoutExpired=TimeoutError))


def read_back(model: ExportSubject) -> ExportSubject:
    """The model in the file that was written, without a word about it, but that a program in it may run."""
    form = load_format(detect_format(Path("file")))
    assert isinstance(form, ForeignFormat)
    described = form.describe(Path("file"), Hints(trust=isinstance(form, TorchScriptFormat)))
    generator, record = form.load_described(Path("file"), described)
    parse_record(record.to_json(), Path("file"))
    assert record.size == model.record.auto_size
    assert record.card == model.record.card
    pairing = make_pairing(record.pairing["name"], record.pairing["settings"])
    whole = "grade" if model.pairing.at_source_size else "aligned"
    whole = "enlarge" if model.pairing.upscale_factor > 1 else whole
    assert pairing.name == (whole if model.whole else model.pairing.name)
    return ExportSubject("file", generator.eval(), record, pairing, conditions=() if model.whole else model.conditions)


def painted(model: ExportSubject, frame: np.ndarray) -> np.ndarray:
    """A frame (H, W, 3) uint8 as a render paints it."""
    guide, levels = render_input(model, frame)
    x = torch.from_numpy(np.ascontiguousarray(levels.transpose(2, 0, 1)))[None].float() / 127.5 - 1
    return model.pairing.finish(guide, to_pictures(run_model(model, x), deep=False)[0], levels)


def check_read_back(model: ExportSubject) -> None:
    """Whatever is exported is read back without a question, to the same pictures."""
    again = read_back(model)
    for frame in (scene(64, 48, seed=1), scene(72, 80, seed=2)):
        wanted, found = (painted(one, frame).astype(int) for one in (model, again))
        off = np.abs(found - wanted)
        if model.whole and model.pairing.upscale_factor > 1:  # a render enlarges the frame, which the graph gets shrunk
            assert off.mean() <= 1
        else:
            assert (off > 1).mean() <= (0.01 if model.whole else 0), off.max()


@pytest.mark.parametrize(("generator", "table", "format"), tiered(FORMATS_OF_NETWORKS, FIRST_NETWORKS))
def test_a_file_of_any_generator_computes_the_same_at_any_size(generator: str, table: Table, format: str) -> None:
    model = subject(generator, table)
    output = run_model(model, torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1)
    assert output.std() > 0.01, "a network that gives one colour would hide any mistake"
    report = written(model, format)
    assert report["max_difference"] <= 1e-3
    assert len(report["compared_sizes"]) == 3
    assert report["operators"]
    check_read_back(model)


@pytest.mark.parametrize(("ports", "format"), [(p, GRAPHS[n % len(GRAPHS)]) for n, p in enumerate(FOREIGN)])
def test_a_file_of_a_network_of_another_tool_takes_and_gives_what_ours_do(ports: Table, format: str) -> None:
    own = subject("unet-64", {})
    settings = from_table(PortSettings, ports, "ports")
    inner = build_generator("unet-64", own.record.generator["settings"], settings.in_channels, settings.out_channels)
    adapted = AdaptedGenerator(lively(inner), 3, settings).eval()
    assert written(replace(own, generator=adapted), format)["max_difference"] <= 1e-3


@pytest.mark.parametrize(("pairing", "settings", "format"), tiered(FORMATS_OF_PAIRINGS, FIRST_PAIRINGS))
def test_a_whole_file_does_what_a_render_does(pairing: str, settings: Table, format: str) -> None:
    looks = {"looks": len(settings.get("looks", ("look",)))}
    generator, table = ("painter", looks) if pairing == "look" else ("few-shot", {})
    model = subject(generator, table, pairing, settings)
    report = written(model, format)
    assert report["input_difference"] <= 1
    check_read_back(model)


@pytest.mark.parametrize("format", [name for name in EXPORTS if name not in GRAPHS])
@pytest.mark.parametrize(("generator", "table"), NETWORKS)
def test_weights_are_read_back_as_the_same_network_or_refused(generator: str, table: Table, format: str) -> None:
    model = subject(generator, table)
    with suppress(UsageError):  # where no tool has such a generator; its pictures are had by a graph
        EXPORTS.load(format)().write(Path("file"), model)
    if Path("file").exists():
        assert numbers(inner_generator(imported(Path("file"))[0])) == numbers(model.generator)
        check_read_back(model)


def numbers(network: nn.Module) -> list[bytes]:
    """The numbers of all tensors: a network with two halvings has other names for us as CycleGAN's and pix2pixHD's."""
    return sorted(tensor.numpy().tobytes() for tensor in network.state_dict().values())


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_a_pairing_is_written_as_operators_or_the_guide_says_why_not(pairing: str) -> None:
    made = make_pairing(pairing, {})
    assert bool(made.operators) == (pairing not in CANNOT)
    refusals = [made.operators_refusal] if pairing in CANNOT else []
    assert not set(refusals) & {"", Pairing.operators_refusal}
    guide = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "export.md").read_text(encoding="utf-8")
    assert all(f"`{pairing}`: {refusal}" in guide for refusal in refusals)
    assert make_pairing("next-frame", {"context_frames": 2}).operators == ""


@pytest.mark.parametrize(("pairing", "settings"), WRITTEN)
def test_operators_make_of_frames_what_the_pairing_makes(pairing: str, settings: Table) -> None:
    model = subject("few-shot", {}, pairing, settings)
    operators, made = pairing_operators(model), model.pairing
    for frame in frames():
        guide, wanted = render_input(model, frame)
        levels = operators(as_levels(frame))
        difference = np.abs(as_picture(levels) - wanted)
        assert difference.max() <= 1
        off = int((difference > 0).sum())
        off -= bool(off and settings.get("tone_channel"))  # float32 and float64 may round one tone differently
        assert off / wanted.size <= (0.01 if pairing in ("sketch", "enlarge") else 1e-4)
        output = np.ascontiguousarray(255 - guide[::-1])
        finished = as_picture(operators.finish(as_levels(guide), as_levels(output)))
        assert np.abs(np.rint(finished) - made.finish(guide, output, wanted)).max() <= 1


def frames() -> list[np.ndarray]:
    """Return noise, even colour and a scene; sides odd and even."""
    rng = np.random.default_rng(0)
    made = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((16, 16), (33, 47))]
    return [*made, np.full((24, 31, 3), 90, np.uint8), scene(64, 49, seed=1)]


def as_levels(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].float()


def as_picture(levels: torch.Tensor) -> np.ndarray:
    return levels[0].permute(1, 2, 0).numpy()


def test_a_file_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "to_exportable", lambda generator: lively(build_generator("few-shot", {}, 3)))
    with pytest.raises(ModelError, match="output differs from the model's"):
        EXPORTS.load("torchscript")().write(Path("file"), subject("unet-64", {}))
