"""Named variants of other tools' generators, and files of them in every container that people have.

The well-known repository offers U-Nets of 7 and 8 levels (``unet_128``, ``unet_256``) and 6 or 9 residual blocks, CUT's
4 too; people who change one line have the others.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peer_networks.layers import Weights
from peer_networks.pix2pix_cyclegan import ResnetGenerator, UnetGenerator
from peer_networks.pix2pixhd import GlobalGenerator, LocalEnhancer
from peer_networks.spade import DOUBLINGS, SpadeGenerator
from peer_networks.styles import TransformerNet
from safetensors.torch import save_file
from torch import Tensor

TORCH_CONTAINERS = ("zip", "legacy", "wrapped", "data-parallel", "safetensors")
# Keys of files that older versions of torch, or of a tool, wrote.
OLD_KEYS = ("", "no-counters", "instance-statistics", "instance-statistics-counted")
RANGES = {"signed": (-1.0, 1.0), "bytes": (0.0, 255.0), "labels": (0.0, 1.0)}
OUTPUTS = Path(__file__).with_name("peer_outputs.json")


@dataclass(frozen=True)
class Variant:
    """A network as a tool saves it, and what an importer should find.

    Attributes:
        name: Its name, unique.
        family: The kind of network.
        build: Return its tensors, with values drawn from a seed.
        in_channels: Channels of its input.
        out_channels: Channels of its output.
        values: Range of its input: ``signed`` (-1 to 1), ``bytes`` (0 to 255, as floats) or ``labels`` (0 or 1).
        out_values: Range of its output, likewise; that of ``bytes`` is not clipped.
        multiple: The least number of which both sides must be multiples.
        size: A small size (height, width) to try it at.
        architecture: Settings that only the options of its training say.
        old_keys: Which older keys the file has, of ``OLD_KEYS``.
        containers: The kinds of file that ``save_variant`` writes.
    """

    name: str
    family: str
    build: Callable[[int], Weights]
    in_channels: int = 3
    out_channels: int = 3
    values: str = "signed"
    out_values: str = "signed"
    multiple: int = 4
    size: tuple[int, int] = (32, 48)
    architecture: dict[str, Any] = field(default_factory=dict)
    old_keys: str = ""
    containers: tuple[str, ...] = TORCH_CONTAINERS


def input_of(variant: Variant) -> Tensor:
    """Return a random input of a variant, (1, C, H, W) float32 in its range."""
    low, high = RANGES[variant.values]
    draw = torch.from_numpy(np.random.RandomState(0).random_sample((1, variant.in_channels, *variant.size))).float()
    return draw.round() if variant.values == "labels" else low + (high - low) * draw


def sampled(picture: Tensor) -> Tensor:
    """Return 16 values of a picture (1, C, H, W), at its edges and within, of the first three channels in turn."""
    channels, height, width = picture.shape[1:]
    rows, columns = ([0, side // 3, side // 2, side - 1] for side in (height, width))
    return torch.stack(
        [picture[0, (i + j) % min(channels, 3), y, x] for i, y in enumerate(rows) for j, x in enumerate(columns)]
    )


@cache
def _outputs() -> dict[str, list[float]]:
    found: dict[str, list[float]] = json.loads(OUTPUTS.read_text())
    return found


def expected_output(variant: Variant, network: Weights) -> Tensor:
    """Return what ``sampled`` gives of the tool's own output for ``input_of``; it is stored for seed 3 alone."""
    return torch.tensor(_outputs()[f"{variant.name} seed {network.seed}"])


def checkpoint_of(variant: Variant, network: Weights) -> OrderedDict[str, Tensor]:
    """Return a network's weights under the keys that the variant's file has."""
    state = OrderedDict((name, value.clone()) for name, value in network.state.items())
    if variant.old_keys == "no-counters":
        return OrderedDict((n, v) for n, v in state.items() if not n.endswith("num_batches_tracked"))
    for norm, channels in network.instance_norms.items() if variant.old_keys else ():  # they never used these
        state[f"{norm}.running_mean"] = torch.full((channels,), 0.5)
        state[f"{norm}.running_var"] = torch.full((channels,), 2.0)
        if variant.old_keys.endswith("counted"):
            state[f"{norm}.num_batches_tracked"] = torch.tensor(1234)
    return state


def save_variant(variant: Variant, path: Path, container: str, seed: int = 0) -> Weights:
    """Write a variant's file, and return its network.

    Args:
        variant: The variant.
        path: The file to make.
        container: One of ``variant.containers``. ``zip`` and ``legacy`` are torch's two formats; ``wrapped`` is a zip
            of {"state_dict": …}, ``data-parallel`` one of keys that begin with ``module.``.
        seed: What the weights are drawn from.
    """
    assert container in variant.containers
    network = variant.build(seed)
    state = checkpoint_of(variant, network)
    if container == "safetensors":
        save_file(dict(state), path)
    elif container == "wrapped":
        torch.save({"state_dict": state, "epoch": 200}, path)
    elif container == "data-parallel":
        torch.save(OrderedDict((f"module.{name}", value) for name, value in state.items()), path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=container == "zip")
    return network


# Options of the well-known repository that importers read, with its defaults.
DEFAULT_OPTIONS = {
    "direction": "AtoB",
    "input_nc": 3,
    "output_nc": 3,
    "load_size": 286,
    "crop_size": 256,
    "model": "cycle_gan",
    "netG": "resnet_9blocks",
    "ngf": 64,
    "no_dropout": True,
    "norm": "instance",
    "preprocess": "resize_and_crop",
    "dataset_mode": "unaligned",
}


def save_experiment(variant: Variant, folder: Path, suffix: str = "G", **options: object) -> None:
    """Write a folder of the pix2pix and CycleGAN repository: ``latest_net_G.pth`` and ``train_opt.txt``.

    Args:
        variant: The generator.
        folder: The folder to make, or to add a generator to.
        suffix: What the file's name ends with: ``G``, or CycleGAN's ``G_A`` and ``G_B``.
        options: Options that are not the repository's default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_variant(variant, folder / f"latest_net_{suffix}.pth", "zip")
    (folder / "train_opt.txt").write_text(_options_text(options))


def _options_text(options: Mapping[str, object]) -> str:
    """Return the text that the repository prints and saves: one option a line, its default where it is another."""
    lines = ["----------------- Options ---------------"]
    for name, value in sorted((DEFAULT_OPTIONS | dict(options)).items()):
        default = DEFAULT_OPTIONS.get(name)
        comment = "" if value == default else f"\t[default: {default}]"
        lines.append(f"{name:>25}: {value!s:<30}{comment}")
    return "\n".join([*lines, "----------------- End -------------------"]) + "\n"


def _variant(name: str, family: str, cls: Any, *arguments: Any, old_keys: str = "", **more: Any) -> Variant:
    def build(seed: int) -> Any:
        return cls(*arguments, seed=seed)

    return Variant(f"{name}-{old_keys}" if old_keys else name, family, build, old_keys=old_keys, **more)


def _unet(downs: int, norm: str, inputs: int = 3, outputs: int = 3, width: int = 2, old_keys: str = "") -> Variant:
    sides = {"multiple": 2**downs, "size": (2**downs, 2**downs * (2 if downs < 7 else 1))}
    channels = {"in_channels": inputs, "out_channels": outputs}
    name = f"unet-{2**downs}-{norm}-{inputs}to{outputs}-w{width}"
    sizes = (inputs, outputs, downs, width, norm)
    return _variant(name, "pix2pix-unet", UnetGenerator, *sizes, old_keys=old_keys, **channels, **sides)


def _resnet(
    blocks: int,
    norm: str,
    inputs: int = 3,
    outputs: int = 3,
    width: int = 4,
    *,
    dropout: bool = False,
    old_keys: str = "",
) -> Variant:
    name = f"resnet-{blocks}-{norm}-{inputs}to{outputs}-w{width}{'-dropout' * dropout}"
    sizes = (inputs, outputs, blocks, width, norm, dropout)
    channels = {"in_channels": inputs, "out_channels": outputs}
    return _variant(name, "cyclegan-resnet", ResnetGenerator, *sizes, old_keys=old_keys, **channels)


def _cut(blocks: int, norm: str, blurs: str, *, inputs: int = 3, width: int = 4, dropout: bool = False) -> Variant:
    name = f"cut-{blocks}-{norm}-{blurs}-{inputs}to3-w{width}{'-dropout' * dropout}"
    down, up = blurs != "antialias-up", blurs != "antialias-down"
    sizes = (inputs, 3, blocks, width, norm, dropout, down, up)
    return _variant(name, "cut", ResnetGenerator, *sizes, in_channels=inputs)


def _hd(inputs: int, multiple: int) -> dict[str, Any]:
    values = "signed" if inputs == 3 else "labels"
    return {"in_channels": inputs, "values": values, "multiple": multiple, "size": (2 * multiple, 3 * multiple)}


def _hd_global(downs: int, blocks: int, norm: str, inputs: int = 3, width: int = 4, old_keys: str = "") -> Variant:
    name = f"hd-global-{downs}-{blocks}-{norm}-{inputs}to3-w{width}"
    sizes = (inputs, 3, width, downs, blocks, norm)
    return _variant(name, "pix2pixhd-global", GlobalGenerator, *sizes, old_keys=old_keys, **_hd(inputs, 2**downs))


def _hd_local(
    enhancers: int, downs: int, blocks: int, enhancer_blocks: int, norm: str, inputs: int = 3, width: int = 2
) -> Variant:
    name = f"hd-local{enhancers}-{downs}-{blocks}-{enhancer_blocks}-{norm}-{inputs}to3-w{width}"
    sizes = (inputs, 3, width, downs, blocks, enhancers, enhancer_blocks, norm)
    return _variant(name, "pix2pixhd-local", LocalEnhancer, *sizes, **_hd(inputs, 2 ** (downs + enhancers)))


def _spade(
    upsampling: str, norm: str, *, spectral: bool = True, labels: int = 5, kernel: int = 3, latent: int = 0
) -> Variant:
    multiple = 2 ** DOUBLINGS[upsampling]
    size = (multiple, multiple if upsampling == "most" else 2 * multiple)
    extra = "-kernel5" * (kernel == 5) + "-latent16" * (latent == 16)
    return _variant(
        f"spade-{upsampling}-{'spectral-' * spectral}{norm}-{labels}labels{extra}",
        "spade",
        *(SpadeGenerator, labels, 2, upsampling, size, norm, spectral, kernel, latent),
        in_channels=labels,
        values="labels",
        multiple=multiple,
        size=size,
        architecture={"upsampling": upsampling},
    )


def _style(width: int, old_keys: str = "") -> Variant:
    bytes_ = {"values": "bytes", "out_values": "bytes"}
    return _variant(f"fast-style-w{width}", "fast-neural-style", TransformerNet, width, old_keys=old_keys, **bytes_)


OLD_INSTANCE = OLD_KEYS[2:]
# Every depth, every kind of norm and every kind of layer of each family; not each with each.
VARIANTS: tuple[Variant, ...] = (
    *(_unet(downs, norm) for downs, norm in ((5, "batch"), (6, "batch"), (6, "instance"), (7, "none"))),
    *(_unet(downs, norm) for downs, norm in ((8, "batch"), (9, "instance"))),
    *(_unet(6, "batch", inputs, outputs) for inputs, outputs in ((1, 3), (3, 1), (4, 4))),
    _unet(7, "instance", width=5),
    _unet(8, "batch", old_keys="no-counters"),
    *(_unet(7, "instance", old_keys=keys) for keys in OLD_INSTANCE),
    *(_resnet(blocks, norm) for blocks, norm in ((4, "instance"), (5, "none"), (6, "batch"), (9, "instance"))),
    *(_resnet(6, norm, dropout=True) for norm in ("batch", "instance", "none")),
    *(_resnet(9, "instance", inputs, outputs) for inputs, outputs in ((1, 3), (3, 1))),
    _resnet(6, "batch", width=1),
    _resnet(6, "batch", old_keys="no-counters"),
    *(_resnet(9, "instance", old_keys=keys) for keys in OLD_INSTANCE),
    *(_cut(6, norm, "antialias") for norm in ("batch", "none")),
    *(_cut(6, "instance", blurs) for blurs in ("antialias-down", "antialias-up")),
    _cut(9, "instance", "antialias", inputs=1, width=6),
    _cut(6, "instance", "antialias", dropout=True),
    *(_hd_global(downs, 2, norm) for downs, norm in ((2, "instance"), (3, "instance"), (4, "batch"))),
    _hd_global(4, 9, "instance", inputs=36),
    _hd_global(3, 2, "batch", old_keys="no-counters"),
    _hd_global(3, 2, "instance", old_keys=OLD_KEYS[2]),
    *(_hd_local(enhancers, 3, 2, 3, norm) for enhancers, norm in ((1, "instance"), (2, "batch"))),
    _hd_local(2, 2, 1, 1, "instance", inputs=36),
    *(_spade(upsampling, "batch") for upsampling in DOUBLINGS),
    _spade("normal", "instance", spectral=False),
    _spade("more", "instance", labels=36),
    _spade("normal", "batch", kernel=5),
    *(_spade(upsampling, "batch", latent=16) for upsampling in ("normal", "more")),
    *(_style(width) for width in (8, 5)),
    *(_style(8, keys) for keys in OLD_INSTANCE),
)
