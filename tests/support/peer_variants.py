"""Named variants of other tools' generators: what importers must recognise and compute alike.

The well-known repository offers U-Nets of 7 and 8 levels (``unet_128``, ``unet_256``) and 6 or 9 residual blocks, CUT's
4 too; people who change one line have the others.
"""

from __future__ import annotations

from typing import Any

from peer_files import OLD_KEYS, Variant, checkpoint_of, input_of, save_experiment, save_variant
from peer_networks.pix2pix_cyclegan import ResnetGenerator, UnetGenerator
from peer_networks.pix2pixhd import GlobalGenerator, LocalEnhancer
from peer_networks.spade import DOUBLINGS, SpadeGenerator
from peer_networks.styles import TransformerNet

__all__ = ["VARIANTS", "Variant", "checkpoint_of", "input_of", "save_experiment", "save_variant"]


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
