"""Generators of other tools: recognised, computing what they did there, going back; headers that lie are refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile_models import raw
from hostile_parts.containers import pickled, specs_of, zipped
from imports import described, difference, imported, saved_in_folder
from peer_networks.pix2pix_cyclegan import ResnetGenerator
from peer_variants import VARIANTS, Variant, checkpoint_of, save_variant
from safetensors.torch import save_file
from torch import Tensor, nn

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.interop.checkpoint_format import is_safetensors, read_safetensors, recognise
from vidtrans.interop.exporting.checkpoint_file import foreign_state_dict
from vidtrans.interop.families.spade_family import start_size
from vidtrans.interop.torch_file import PickleStream
from vidtrans.models.formats import ForeignModel, detect_format
from vidtrans.models.model_file import load_generator, read_record
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.networks.init import build_generator, inner_generator

pytestmark = pytest.mark.usefixtures("one_thread")


def named(name: str) -> Variant:
    return next(variant for variant in VARIANTS if variant.name == name)


def test_options_name_the_labels_where_they_come_to_the_channels() -> None:
    _, path = saved_in_folder(named("spade-normal-spectral-batch-5labels"), Path("training"), "zip", seed=0)
    wanted: dict[str, tuple[int, bool, bool] | None] = {
        "label_nc: 5\nno_instance: True": (5, False, False),
        "label_nc: 4\nno_instance: False": (4, True, False),
        "label_nc: 3\nno_instance: False\ncontain_dontcare_label: True": (4, True, True),
        "label_nc: 9\nno_instance: False": None,
        "label_nc: 0": None,
    }
    for options, found in wanted.items():
        (path.parent / "opt.txt").write_text(options)
        settings = dict(zip(("classes", "boundaries", "rest_is_last"), found or (), strict=False))
        assert described(path)[1].pairing == ({"name": "labels", "settings": settings} if settings else {})
    (path.parent / "opt.txt").write_text("crop_size: 512\naspect_ratio: 2.0\nnum_upsampling_layers: more")
    assert described(path)[1].size == 256  # a size of theirs is a width


@pytest.mark.thorough
def test_a_real_checkpoint_paints_what_its_onnx_export_does(real_data: object) -> None:
    runtime = pytest.importorskip("onnxruntime")
    import cv2

    session = runtime.InferenceSession(
        str(real_data("models/candy_nc16_256x256_onnxjs013.onnx")),  # type: ignore[operator]
        providers=["CPUExecutionProvider"],
    )
    ours, record = load_generator(real_data("models/candy_nc16_b1_e2_1e05_1e10.model"))  # type: ignore[operator]
    assert record.pairing["name"] == "aligned"
    clip = cv2.VideoCapture(str(real_data("video/dog.mp4")))  # type: ignore[operator]
    for _ in range(3):
        frame = cv2.resize(clip.read()[1], (256, 256), interpolation=cv2.INTER_AREA)[..., ::-1]
        x = np.ascontiguousarray(frame.transpose(2, 0, 1), np.float32)[None]
        theirs = session.run(None, {session.get_inputs()[0].name: x})[0]
        with torch.no_grad():
            found = (ours(torch.from_numpy(x) / 127.5 - 1).numpy() + 1) * 127.5
        error = np.square(theirs.clip(0, 255).round() - found.clip(0, 255).round()).mean()
        assert 10 * np.log10(255**2 / max(error, 1e-9)) >= 50


FAMILIES = {
    "pix2pix-unet": {"pix2pix-unet"},
    "cyclegan-resnet": {"resnet"},
    "cut": {"resnet"},
    "pix2pixhd-global": {"pix2pixhd", "resnet"},  # with two halvings it is CycleGAN's network
    "pix2pixhd-local": {"pix2pixhd-local"},
    "spade": {"spade"},
    "fast-neural-style": {"fast-style"},
}


def recognised(variant: Variant) -> tuple[nn.Module, ForeignModel, Mapping[str, Tensor]]:
    """Ours, what its file holds, and its tensors, of one of its containers: all are had, each by many variants."""
    container = variant.containers[VARIANTS.index(variant) % len(variant.containers)]
    theirs, path = saved_in_folder(variant, Path("training"), container, seed=3)
    state = checkpoint_of(variant, theirs)  # before it runs by the statistics of a picture, which change those kept
    ours, model = imported(path)
    assert model.family in FAMILIES[variant.family]
    ports = {"in_channels": 3, "out_channels": 3} | model.ports
    assert (ports["in_channels"], ports["out_channels"]) == (variant.in_channels, variant.out_channels)
    assert getattr(inner_generator(ours), "stride", ours.multiple) % variant.multiple == 0
    furthest, deviation = difference(ours, theirs, variant)
    assert deviation > 0.01
    assert furthest <= 1e-4
    return ours, model, state


def record_of(model: ForeignModel) -> ModelRecord:
    ports, origin = {"in_channels": 3, "out_channels": 3} | model.ports, {"family": model.family} | model.origin
    return ModelRecord(model.generator, {}, 3, 3, 256, NORMALISATION, {}, {}, ports=ports, origin=origin)


@pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=pytest.mark.thorough if n % 2 else (), id=v.name) for n, v in enumerate(VARIANTS)],
)
def test_a_network_is_recognised_computes_what_it_did_there_and_goes_back_bit_for_bit(variant: Variant) -> None:
    ours, model, theirs = recognised(variant)
    family, state = foreign_state_dict(record_of(model), ours)
    assert family in FAMILIES[variant.family]
    # What nothing ever used does not go back.
    unused = (".running_", "num_batches") if variant.old_keys.startswith("instance-statistics") else ()
    expected = {k: v for k, v in theirs.items() if not any(word in k for word in unused)}
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_a_network_that_no_other_tool_writes_is_not_written() -> None:
    settings = {"channels": 4, "blocks": 1, "head": "tanh"}
    record = ModelRecord({"name": "style-net", "settings": settings}, {}, 3, 3, 256, NORMALISATION, {}, {})
    with pytest.raises(UsageError, match="this tool's is always"):
        foreign_state_dict(record, build_generator("style-net", settings, 3))


def test_tensors_that_are_all_views_of_one_storage_are_not_read() -> None:
    """A small file would take a hundred times its size in memory."""
    state = ResnetGenerator(3, 3, 9, 16, "instance").state_dict()
    made, storages = specs_of(state)
    specs: dict[str, Any] = dict(made)
    largest = max(specs.values(), key=lambda spec: spec.storage.count)
    for spec in specs.values():
        spec.storage = largest.storage
    path = Path("net_G.pth")
    path.write_bytes(zipped(pickled(specs), {largest.storage.key: storages[largest.storage.key]}))
    with pytest.raises(ModelError, match="its tensors share stored bytes"):
        imported(path)


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 5])
def test_all_pickles_are_read_and_none_for_ever(protocol: int, container: str, monkeypatch: pytest.MonkeyPatch) -> None:
    state, path, is_zip = VARIANTS[0].build(1).state_dict(), Path("net_G.pth"), container == "zip"
    state._metadata = {"": {"version": 1}}  # as that of any module of torch has
    torch.save(state, path, pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    found = recognise(path)
    assert found.tensors.keys() == state.keys()
    assert all(torch.equal(found.tensors[name].read(), tensor) for name, tensor in state.items())
    monkeypatch.setattr(PickleStream, "reads_left", 1000)
    with pytest.raises(ModelError, match="more instructions than any model"):
        recognise(path)


KINDS = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
STYLE = next(variant for variant in VARIANTS if variant.name == "fast-style-w5")


def test_tensors_of_every_kind_are_read_as_they_were_written() -> None:
    made = {kind: (torch.arange(24).reshape(2, 3, 4) % 5).to(getattr(torch, kind)) for kind in KINDS}
    made |= {"scalar": torch.tensor(7), "empty": torch.zeros(0, 3), "line": torch.arange(5.0)}
    save_file(made, "t.safetensors", metadata={"format": "pt"})
    found = read_safetensors(Path("t.safetensors"))
    assert found.keys() == made.keys()
    for name, tensor in made.items():
        read = found[name].read()
        assert read.dtype == tensor.dtype
        assert torch.equal(read, tensor)


def test_a_network_in_half_precision_is_read_in_single_and_our_own_files_stay_our_own(tiny_model: Path) -> None:
    network = save_variant(STYLE, Path("a.safetensors"), "safetensors")
    save_file({name: tensor.half() for name, tensor in network.state_dict().items()}, "half.safetensors")
    assert detect_format(Path("half.safetensors")) == "checkpoint"
    generator, record = load_generator(Path("half.safetensors"))
    assert record.origin["family"] == "fast-style"
    assert {tensor.dtype for tensor in generator.state_dict().values()} == {torch.float32}
    assert is_safetensors(tiny_model)
    assert detect_format(tiny_model) == "vidtrans"


Change = Callable[[dict[str, Any]], object]
FIRST = "conv1.conv2d.bias"
LIES: dict[str, tuple[Change, str]] = {
    "beyond the end": (lambda t: t[FIRST].update(data_offsets=[1 << 40, (1 << 40) + 20]), "cut off"),
    "negative": (lambda t: t[FIRST].update(data_offsets=[-20, 0]), "out of bounds"),
    "too long": (lambda t: t[FIRST].update(shape=[6]), "does not fit its shape"),
    "overflowing": (lambda t: t[FIRST].update(shape=[1 << 63, 4]), "out of bounds"),
    "a fraction": (lambda t: t[FIRST].update(shape=[5.0]), "out of bounds"),
    "no list": (lambda t: t[FIRST].update(shape=5), "no complete entry"),
    "of 8 bits": (lambda t: t[FIRST].update(dtype="F8_E4M3"), "unsupported type"),
    "shared": (lambda t: t[FIRST].update(data_offsets=t["in1.bias"]["data_offsets"]), "share their bytes"),
    "one too many": (
        lambda t: t.update(x={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
        "'x' does not belong to it",
    ),
    "one too few": (lambda t: t.pop(FIRST), f"'{FIRST}' is missing"),
}


def test_a_header_that_lies_and_a_file_that_is_cut_off_are_one_line() -> None:
    save_variant(STYLE, Path("a.safetensors"), "safetensors")
    data = Path("a.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    bad = [(data[:-cut], "cut off") for cut in (1, 1000)]
    for change, reason in LIES.values():
        table = json.loads(data[8 : 8 + length])
        change(table)
        bad.append((raw(json.dumps(table).encode(), data[8 + length :]), reason))
    for made, reason in bad:
        Path("bad.safetensors").write_bytes(made)
        with pytest.raises(ModelError, match=reason) as caught:
            read_record(Path("bad.safetensors"))
        assert "\n" not in str(caught.value)


def test_a_learned_start_is_square_or_twice_as_wide() -> None:
    sizes = {64: (8, 8), 32: (4, 8), 2: (1, 2), 48: (6, 8), 7: (1, 7), 0: (1, 1)}
    assert {places: start_size(places) for places in sizes} == sizes
