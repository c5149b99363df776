"""Generators of other tools are recognised, compute what they did there, and go back as they were."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile_parts.containers import pickled, specs_of, zipped
from imports import difference, imported, saved_in_folder
from peer_networks.pix2pix_cyclegan import ResnetGenerator
from peer_variants import VARIANTS, Variant, checkpoint_of, save_variant
from torch import Tensor, nn

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.interop.checkpoints.checkpoint_format import recognise
from vidtrans.interop.checkpoints.pickle_reader import PickleStream
from vidtrans.interop.exporting.checkpoint_file import their_state
from vidtrans.models.foreign_format import ForeignModel
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.networks.init import build_generator, inner_generator

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


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_a_network_is_recognised_computes_what_it_did_there_and_goes_back_bit_for_bit(variant: Variant) -> None:
    ours, model, theirs = recognised(variant)
    family, state = their_state(record_of(model), ours)
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
        their_state(record, build_generator("style-net", settings, 3))


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
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickle_is_read_and_none_for_ever(
    protocol: int, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, path, is_zip = VARIANTS[0].build(1).state_dict(), Path("net_G.pth"), container == "zip"
    state._metadata = {"": {"version": 1}}  # as that of any module of torch has
    torch.save(state, path, pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    found = recognise(path)
    assert found.tensors.keys() == state.keys()
    assert all(torch.equal(found.tensors[name].read(), tensor) for name, tensor in state.items())
    monkeypatch.setattr(PickleStream, "left", 1000)
    with pytest.raises(ModelError, match="more instructions than any model"):
        recognise(path)


def test_a_family_is_described_without_torch() -> None:
    save_variant(VARIANTS[0], Path("net_G.pth"), "zip")
    code = (
        "import sys; from pathlib import Path\n"
        "from vidtrans.models.formats import format_of, load_format\n"
        "load_format(format_of(Path('net_G.pth'))).describe(Path('net_G.pth'))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
