"""Generators of other tools are recognised, compute what they did there, and go back as they were."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile_parts.containers import pickled, specs_of, zipped
from imports import difference, imported
from peer_networks.pix2pix_cyclegan import ResnetGenerator
from peer_variants import VARIANTS, Variant, checkpoint_of, save_variant

from vidtrans.errors import ModelError
from vidtrans.models.families.writing import their_state
from vidtrans.models.model_record import NORMALISATION, ModelRecord

FAMILIES = {
    "pix2pix-unet": {"pix2pix-unet"},
    "cyclegan-resnet": {"resnet"},
    "cut": {"resnet"},
    "pix2pixhd-global": {"pix2pixhd", "resnet"},  # with two halvings it is CycleGAN's network
    "pix2pixhd-local": {"pix2pixhd-local"},
}
KNOWN = [variant for variant in VARIANTS if variant.family in FAMILIES]
each_variant = pytest.mark.parametrize("variant", KNOWN, ids=[variant.name for variant in KNOWN])


def container_of(variant: Variant) -> str:
    """One of its containers: all are had, each by many variants."""
    return variant.containers[VARIANTS.index(variant) % len(variant.containers)]


@each_variant
def test_a_network_is_recognised_by_its_tensors_and_computes_what_it_did_there(variant: Variant) -> None:
    theirs = save_variant(variant, Path("a picture.jpg"), container_of(variant), seed=3)
    ours, model = imported(Path("a picture.jpg"))
    assert model.family in FAMILIES[variant.family]
    assert (model.ports["in_channels"], model.ports["out_channels"]) == (variant.in_channels, variant.out_channels)
    furthest, deviation = difference(ours, theirs, variant)
    assert deviation > 0.01
    assert furthest <= 1e-4


@each_variant
def test_a_network_goes_back_bit_for_bit(variant: Variant) -> None:
    theirs = save_variant(variant, Path("net_G.pth"), "zip", seed=4)
    ours, model = imported(Path("net_G.pth"))
    record = ModelRecord(
        model.generator,
        {},
        3,
        3,
        256,
        NORMALISATION,
        {},
        {},
        ports=model.ports,
        origin={"family": model.family} | model.origin,
    )
    state = their_state(record, ours)[1]
    expected = checkpoint_of(variant, theirs)
    if variant.old_keys.startswith("instance-statistics"):  # which nothing ever used
        expected = {k: v for k, v in expected.items() if ".running_" not in k and "num_batches" not in k}
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("container", ["zip", "legacy", "wrapped", "data-parallel"])
def test_every_container_is_read(container: str) -> None:
    variant = KNOWN[0]
    theirs = save_variant(variant, Path("net_G.pth"), container, seed=5)
    ours, _ = imported(Path("net_G.pth"))
    assert difference(ours, theirs, variant)[0] <= 1e-4


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
    with pytest.raises(ModelError, match="they share their bytes"):
        imported(path)


def test_a_family_is_described_without_torch() -> None:
    save_variant(KNOWN[0], Path("net_G.pth"), "zip")
    code = (
        "import sys; from pathlib import Path\n"
        "from vidtrans.models.formats import format_of, load_format\n"
        "load_format(format_of(Path('net_G.pth'))).describe(Path('net_G.pth'))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
