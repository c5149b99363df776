"""Files of other tools, imported behind their ports, and how far their pictures are from what they were there."""

from __future__ import annotations

from pathlib import Path

import torch
from peer_networks.layers import Weights
from peer_variants import RANGES, Variant, expected_output, input_of, sampled, save_variant
from torch import Tensor, nn

from vidtrans.core.settings import Table
from vidtrans.models.formats import ForeignFormat, ForeignModel, detect_format, load_format
from vidtrans.models.model_file import file_in_folder
from vidtrans.networks.init import build_generator


def described(path: Path) -> tuple[ForeignFormat, ForeignModel, Path]:
    """Return a file's format, what it holds, and the file itself where a folder was given."""
    path = file_in_folder(path) if path.is_dir() else path
    form = load_format(detect_format(path))
    assert isinstance(form, ForeignFormat)
    return form, form.describe(path), path


def imported(path: Path) -> tuple[nn.Module, ForeignModel]:
    """Return a file's generator behind its ports, in eval mode, and what the file holds."""
    form, model, path = described(path)
    ports: Table = {"in_channels": 3, "out_channels": 3} | model.ports
    generator = build_generator(model.generator["name"], model.generator["settings"], ports["in_channels"], ports=ports)
    generator.load_state_dict({f"network.{name}": t for name, t in form.read_weights(path, model).items()})
    return generator.eval(), model


def saved_in_folder(variant: Variant, folder: Path, container: str, seed: int) -> tuple[Weights, Path]:
    """Write a variant with the options of its training that its tensors do not show; return network and path."""
    folder.mkdir()
    theirs = save_variant(variant, folder / "latest_net_G.pth", container, seed)
    if variant.architecture.get("upsampling") == "more":
        (folder / "opt.txt").write_text("----- Options -----\n    num_upsampling_layers: more   \t[default: normal]\n")
    return theirs, folder / "latest_net_G.pth"


def difference(ours: nn.Module, theirs: Weights, variant: Variant) -> tuple[float, float]:
    """Return the largest difference of our picture in [−1, 1] from values of the tool's, and how far those vary."""

    def signed(values: Tensor, kind: str) -> Tensor:
        low, high = RANGES[kind]
        return (values - low) / (high - low) * 2 - 1

    expected = signed(expected_output(variant, theirs), variant.out_values)
    with torch.no_grad():
        found = sampled(ours(signed(input_of(variant), variant.values))[:, : variant.out_channels])
    return float((found - expected).abs().max()), float(expected.std())
