"""Named variants of other tools' generators: what importers must recognise and compute alike.

The well-known repository offers U-Nets of 7 and 8 levels (``unet_128``, ``unet_256``) and 6 or 9 residual blocks, CUT's
4 too; people who change one line have the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from peer_files import OLD_KEYS, Variant, checkpoint_of, input_of, save_experiment, save_variant
from peer_networks.cut import CutGenerator
from peer_networks.fast_style import TransformerNet
from peer_networks.layers import randomise, set_test_mode
from peer_networks.pict import PictGenerator
from peer_networks.pix2pix_cyclegan import ResnetGenerator, UnetGenerator
from peer_networks.pix2pixhd import GlobalGenerator, LocalEnhancer
from peer_networks.raw_float_style import RawFloatStyle
from peer_networks.spade import DOUBLINGS, SpadeGenerator
from torch import nn

__all__ = ["VARIANTS", "Variant", "checkpoint_of", "input_of", "save_experiment", "save_variant"]


def _own_statistics(network: Callable[[], nn.Module], seed: int) -> nn.Module:
    return set_test_mode(randomise(network(), seed))


def _stored_statistics(network: Callable[[], nn.Module], seed: int) -> nn.Module:
    return set_test_mode(randomise(network(), seed), own_statistics=False)


def _byte_network(network: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A network from and to 0…255: its last layer makes values of that size."""
    made = randomise(network(), seed)
    with torch.no_grad():
        made.deconv3.conv2d.weight.mul_(40)
        made.deconv3.conv2d.bias.add_(127)
    return set_test_mode(made)


def _unet(downs: int, norm: str, inputs: int = 3, outputs: int = 3, width: int = 2, **more: Any) -> Variant:
    dropout = more.pop("dropout", False)
    network = partial(UnetGenerator, inputs, outputs, downs, width, norm, dropout)
    name = f"unet-{2**downs}-{norm}-{inputs}to{outputs}-w{width}{'-dropout' * dropout}"
    return Variant(
        name=f"{name}-{more['old_keys']}" if more else name,
        family="pix2pix-unet",
        build=partial(_own_statistics, network),
        in_channels=inputs,
        out_channels=outputs,
        multiple=2**downs,
        size=(2**downs, 2**downs * (2 if downs < 7 else 1)),
        architecture={"norm": norm, "downsamplings": downs, "width": width},
        **more,
    )


def _resnet(blocks: int, norm: str, inputs: int = 3, outputs: int = 3, width: int = 4, **more: Any) -> Variant:
    dropout = more.pop("dropout", False)
    network = partial(ResnetGenerator, inputs, outputs, blocks, width, norm, dropout)
    name = f"resnet-{blocks}-{norm}-{inputs}to{outputs}-w{width}{'-dropout' * dropout}"
    return Variant(
        name=f"{name}-{more['old_keys']}" if more else name,
        family="cyclegan-resnet",
        build=partial(_own_statistics, network),
        in_channels=inputs,
        out_channels=outputs,
        architecture={"norm": norm, "blocks": blocks, "downsamplings": 2, "width": width, "dropout": dropout},
        **more,
    )


def _cut(
    blocks: int, norm: str, down: bool, up: bool, *, inputs: int = 3, width: int = 4, dropout: bool = False
) -> Variant:
    sampling = {(True, True): "antialias", (True, False): "antialias-down", (False, True): "antialias-up"}[down, up]
    words = {"norm": norm, "blocks": blocks, "downsamplings": 2, "width": width, "dropout": dropout}
    return Variant(
        name=f"cut-{blocks}-{norm}-{sampling}-{inputs}to3-w{width}{'-dropout' * dropout}",
        family="cut",
        build=partial(_own_statistics, partial(CutGenerator, inputs, 3, blocks, width, norm, dropout, down, up)),
        in_channels=inputs,
        architecture=words | {"antialias": down, "antialias_up": up},
    )


def _hd_global(downs: int, blocks: int, norm: str, inputs: int = 3, width: int = 4, old_keys: str = "") -> Variant:
    name = f"hd-global-{downs}-{blocks}-{norm}-{inputs}to3-w{width}"
    return Variant(
        name=f"{name}-{old_keys}" if old_keys else name,
        family="pix2pixhd-global",
        build=partial(_own_statistics, partial(GlobalGenerator, inputs, 3, width, downs, blocks, norm)),
        in_channels=inputs,
        values="signed" if inputs == 3 else "labels",
        multiple=2**downs,
        size=(2 * 2**downs, 3 * 2**downs),
        architecture={"norm": norm, "blocks": blocks, "downsamplings": downs, "width": width},
        old_keys=old_keys,
    )


def _hd_local(
    enhancers: int, downs: int, blocks: int, enhancer_blocks: int, norm: str, inputs: int = 3, width: int = 2
) -> Variant:
    network = partial(LocalEnhancer, inputs, 3, width, downs, blocks, enhancers, enhancer_blocks, norm)
    multiple = 2 ** (downs + enhancers)
    words = {"norm": norm, "blocks": blocks, "downsamplings": downs, "width": width}
    return Variant(
        name=f"hd-local{enhancers}-{downs}-{blocks}-{enhancer_blocks}-{norm}-{inputs}to3-w{width}",
        family="pix2pixhd-local",
        build=partial(_own_statistics, network),
        in_channels=inputs,
        values="signed" if inputs == 3 else "labels",
        multiple=multiple,
        size=(2 * multiple, 3 * multiple),
        architecture=words | {"enhancers": enhancers, "enhancer_blocks": enhancer_blocks},
    )


def _spade(upsampling: str, norm: str, *, spectral: bool = True, labels: int = 5, **more: Any) -> Variant:
    multiple = 2 ** DOUBLINGS[upsampling]
    size = (multiple, multiple if upsampling == "most" else 2 * multiple)
    settings = {"width": 2, "kernel": 3, "latent": 0} | more
    network = partial(
        SpadeGenerator, labels, upsampling=upsampling, size=size, norm=norm, spectral=spectral, **settings
    )
    extra = "".join(f"-{key}{value}" for key, value in more.items())
    return Variant(
        name=f"spade-{upsampling}-{'spectral-' * spectral}{norm}-{labels}labels{extra}",
        family="spade",
        build=partial(_stored_statistics, network),
        in_channels=labels,
        values="labels",
        multiple=multiple,
        size=size,
        architecture={"norm": norm, "spectral": spectral, "upsampling": upsampling} | settings,
    )


def _style(width: int, old_keys: str = "") -> Variant:
    return Variant(
        name=f"fast-style-w{width}-{old_keys}" if old_keys else f"fast-style-w{width}",
        family="fast-neural-style",
        build=partial(_byte_network, partial(TransformerNet, width)),
        values="bytes",
        out_values="bytes",
        architecture={"norm": "instance", "blocks": 5, "downsamplings": 2, "width": width},
        old_keys=old_keys,
    )


def _raw_floats(width: int) -> Variant:
    return Variant(
        name=f"raw-float-style-w{width}",
        family="raw-float-style",
        build=partial(RawFloatStyle, width),
        values="bytes",
        out_values="bytes",
        architecture={"norm": "instance", "blocks": 5, "downsamplings": 2, "width": width},
        containers=("raw-floats",),
    )


def _pict(width: int, inputs: int = 3, outputs: int = 3, size: tuple[int, int] = (256, 256)) -> Variant:
    return Variant(
        name=f"pict-{inputs}to{outputs}-w{width}-{size[0]}x{size[1]}",
        family="pict",
        build=partial(PictGenerator, inputs, outputs, width),
        in_channels=inputs,
        out_channels=outputs,
        multiple=256,
        size=size,
        architecture={"norm": "batch", "downsamplings": 8, "width": width},
        containers=("pict",),
    )


NORMS = ("batch", "instance", "none")
OLD_INSTANCE = OLD_KEYS[2:]
VARIANTS: tuple[Variant, ...] = (
    *(_unet(downs, norm) for downs in (5, 6, 7, 8, 9) for norm in NORMS),
    *(_unet(6, "batch", inputs, outputs) for inputs, outputs in ((1, 3), (3, 1), (6, 3), (4, 4))),
    *(_unet(7, norm, width=5) for norm in NORMS),
    _unet(5, "batch", width=16),
    *(_unet(7, norm, dropout=True) for norm in NORMS),
    _unet(8, "batch", old_keys="no-counters"),
    *(_unet(7, "instance", old_keys=keys) for keys in OLD_INSTANCE),
    *(_resnet(blocks, norm) for blocks in (4, 5, 6, 7, 8, 9) for norm in NORMS),
    *(_resnet(6, norm, dropout=True) for norm in NORMS),
    *(_resnet(9, "instance", inputs, outputs) for inputs, outputs in ((1, 3), (3, 1), (9, 3))),
    _resnet(6, "batch", width=1),
    _resnet(6, "instance", width=16),
    _resnet(6, "batch", old_keys="no-counters"),
    *(_resnet(9, "instance", old_keys=keys) for keys in OLD_INSTANCE),
    *(_cut(blocks, "instance", True, True) for blocks in (4, 6, 9)),
    *(_cut(6, norm, True, True) for norm in ("batch", "none")),
    *(_cut(6, "instance", down, up) for down, up in ((True, False), (False, True))),
    *(_cut(4, "batch", down, up) for down, up in ((True, False), (False, True))),
    _cut(9, "instance", True, True, inputs=1, width=6),
    _cut(6, "instance", True, True, dropout=True),
    *(_hd_global(downs, 2, norm) for downs in (2, 3, 4) for norm in ("instance", "batch")),
    *(_hd_global(4, 9, norm, inputs=36) for norm in ("instance", "batch")),
    _hd_global(3, 2, "instance", width=32),
    _hd_global(3, 2, "batch", old_keys="no-counters"),
    _hd_global(3, 2, "instance", old_keys=OLD_KEYS[2]),
    *(_hd_local(enhancers, 3, 2, 3, norm) for enhancers in (1, 2) for norm in ("instance", "batch")),
    _hd_local(1, 4, 9, 3, "instance", inputs=36),
    _hd_local(2, 2, 1, 1, "instance", inputs=36),
    *(_spade(upsampling, "batch") for upsampling in DOUBLINGS),
    *(_spade("normal", "instance", spectral=spectral) for spectral in (True, False)),
    _spade("normal", "batch", spectral=False),
    _spade("more", "instance", labels=36),
    _spade("normal", "batch", kernel=5),
    *(_spade(upsampling, "batch", latent=16) for upsampling in ("normal", "more")),
    *(_style(width) for width in (32, 16, 8, 5)),
    *(_style(8, keys) for keys in OLD_INSTANCE),
    *(_raw_floats(width) for width in (32, 8, 3)),
    *(_pict(width) for width in (1, 2, 4)),
    _pict(2, inputs=1),
    _pict(2, size=(512, 256)),  # of one pixel, a norm leaves nothing: here the innermost level has two
)
