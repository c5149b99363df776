"""The families of residual generators of CycleGAN, CUT and pix2pixHD, whose layers form one flat list.

The full generator of pix2pixHD (Wang et al., CVPR 2018) adds local enhancers, each with its own lists of layers.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace

from vidtrans.core.settings import Table
from vidtrans.interop.families.base import (
    Candidate,
    Family,
    LabelFamily,
    Layout,
    Shapes,
    axis_length,
    check_fixed_settings,
    detect_norm,
    label_ports,
)

# The start of a residual block's tensor names, such as "model.10.conv_block."
BLOCK_PATTERN = re.compile(r"model\.(\d{1,4})\.conv_block\.")
# The name of a layer's weight, such as "model.26.weight"; with a 7×7 kernel it belongs to the last layer.
HEAD_PATTERN = re.compile(r"model\.(\d{1,4})\.weight")
# The name of the filter of a blurring (anti-aliased) layer, such as "model.7.filt".
BLUR_PATTERN = re.compile(r"model\.(\d{1,4})\.filt")
FIRST_WEIGHT = "model.1.weight"  # Name of the weight of the first convolution.
# The name of a local enhancer's first weight, such as "model1_1.1.weight"; the group is its number.
ENHANCER_DOWN_PATTERN = re.compile(r"model(\d)_1\.1\.weight")
# The start of the tensor names of the first enhancer's residual blocks, such as "model1_2.0.conv_block."
ENHANCER_BLOCK_PATTERN = re.compile(r"model1_2\.(\d{1,3})\.conv_block\.")
MAX_ENHANCERS = 2  # Largest number of local enhancers.
HEAD_LENGTH = 3  # Number of list entries that form the last layer: padding, convolution, tanh.
# Settings of vidtrans's residual generators that these tools lack, with the values that match the tools' networks.
FIXED_SETTINGS: Table = {"upsample": "transposed", "self_attention": False, "squeeze_excitation": False, "dilation": 1}
FRAME_PAIRING = {"name": "aligned", "settings": {}}  # The pairing for networks whose input is the unchanged frame.


class LayerWalk:
    """A pass over the layer list of another tool's network that maps each layer to a layer of vidtrans's network.

    ``at``: the current index in the list. ``prefix``: the name of the list in the file. ``settings``: vidtrans's
    settings of the generator; ``norm`` and ``conv_bias`` are used. ``dropout``: the tool's residual blocks contain
    dropout. ``ours``: the name of vidtrans's layer. ``inputs``, ``outputs``: numbers of channels.
    """

    def __init__(self, layout: Layout, prefix: str, settings: Table, *, dropout: bool) -> None:
        """Start at the first layer of the list ``prefix``; ``dropout``: the tool's residual blocks have dropout."""
        self.layout, self.at = layout, 0
        self._prefix, self._norm, self._dropout = prefix, settings["norm"], dropout
        self._biased = self._norm == "plain-instance" or settings.get("conv_bias", False)
        self._norm_length = 0 if self._norm == "none" else 1  # Number of entries of a norm in vidtrans's layer lists

    def entrance(self, ours: str, inputs: int, outputs: int) -> None:
        """Map the tensor names of the first layer ``ours``, with a 7×7 kernel, to the tool's; go to the next layer."""
        self._layer(ours, 1, self._name_at(1), self._name_at(2), (outputs, inputs, 7, 7))
        self.at += 4

    def down(self, ours: str, inputs: int, outputs: int, *, blur: bool = False) -> None:
        """Map the tensor names of a layer ``ours`` that halves the size, perhaps with a ``blur``; go to the next."""
        self._layer(ours, 0, self._name_at(0), self._name_at(1), (outputs, inputs, 3, 3))
        if blur:
            self.layout.tensor(f"{ours}.{2 + self._norm_length}.filt", f"{self._name_at(3)}.filt", (outputs, 1, 3, 3))
        self.at += 4 if blur else 3

    def block(self, ours: str, channels: int) -> None:
        """Map the tensor names of the two convolutions of the residual block ``ours``; go to the next layer."""
        inside, shape = f"{self._name_at(0)}.conv_block", (channels, channels, 3, 3)
        second = 6 if self._dropout else 5
        self._layer(f"{ours}.branch", 1, f"{inside}.1", f"{inside}.2", shape)
        self._layer(f"{ours}.branch", 4 + self._norm_length, f"{inside}.{second}", f"{inside}.{second + 1}", shape)
        self.at += 1

    def up(self, ours: str, inputs: int, outputs: int, *, blur: bool = False) -> None:
        """Map the tensor names of a layer ``ours`` that doubles the size, perhaps with a ``blur``; go to the next."""
        if blur:
            self.layout.tensor(f"{ours}.0.filt", f"{self._name_at(0)}.filt", (inputs, 1, 4, 4))
            self._layer(ours, 1, self._name_at(1), self._name_at(2), (outputs, inputs, 3, 3))
        else:
            bias = {"bias": self._biased, "zero_bias": self._has_zero_bias}
            self.layout.transposed(f"{ours}.0", self._name_at(0), (inputs, outputs, 3, 3), **bias)
            self.layout.norm(f"{ours}.1", self._name_at(1), outputs, self._norm)
        self.at += 4 if blur else 3

    def head(self, ours: str, inputs: int, outputs: int) -> None:
        """Map the tensor names of the last layer ``ours``, with a 7×7 kernel and a bias; go to the end of the list."""
        self.layout.conv(f"{ours}.1", self._name_at(1), (outputs, inputs, 7, 7), bias=True)
        self.at += HEAD_LENGTH

    @property
    def _has_zero_bias(self) -> bool:
        """Return whether the tool's convolutions lack a bias that vidtrans's convolutions have; it must then be 0."""
        return self._norm == "none" and not self._biased

    def _name_at(self, step: int) -> str:
        """Return the name of the list entry ``step`` entries after the current one, such as "model.4"."""
        return f"{self._prefix}.{self.at + step}"

    def _layer(self, ours: str, at: int, conv: str, norm: str, shape: tuple[int, int, int, int]) -> None:
        """Map the tensor names of a convolution to ``conv``, and of the norm after it to ``norm``, in the file.

        The convolution is entry ``at`` of vidtrans's layer list ``ours``; ``shape``: (outputs, inputs, k, k).
        """
        self.layout.conv(f"{ours}.{at}", conv, shape, bias=self._biased, zero_bias=self._has_zero_bias)
        self.layout.norm(f"{ours}.{at + 1}", norm, shape[0], self._norm)


@dataclass(frozen=True)
class Sizes:
    """The numbers of channels and layers of a residual generator.

    ``width``: channels of the first layer. ``halvings``, ``blocks``: numbers of such layers. ``dropout``: whether
    blocks have dropout. ``blur_down``, ``blur_up``: whether downsampling and upsampling layers blur.
    """

    width: int
    inputs: int
    outputs: int
    halvings: int
    blocks: int
    dropout: bool
    blur_down: bool
    blur_up: bool

    @property
    def origin(self) -> Table:
        """Return the facts about the file that a later export needs: dropout layers, which shift the layer indices."""
        return {"dropout": True} if self.dropout else {}


def read_sizes(shapes: Shapes) -> Sizes | None:
    """Return the sizes of the generator in the tensors 'model.*' of a checkpoint; None without residual blocks."""
    blocks = sorted({int(match[1]) for name in shapes if (match := BLOCK_PATTERN.match(name))})
    if not blocks or FIRST_WEIGHT not in shapes:
        return None
    blurs = [int(match[1]) for name in shapes if (match := BLUR_PATTERN.fullmatch(name))]
    blur_down = any(index < blocks[0] for index in blurs)
    second_conv = f"model.{blocks[0]}.conv_block.5.weight"
    heads = [
        int(match[1])
        for name, shape in shapes.items()
        if (match := HEAD_PATTERN.fullmatch(name)) and shape[2:] == (7, 7)
    ]
    return Sizes(
        width=axis_length(shapes, FIRST_WEIGHT, 0, 1),
        inputs=axis_length(shapes, FIRST_WEIGHT, 1, 1),
        outputs=axis_length(shapes, f"model.{max(heads)}.weight", 0, 3) if heads else 3,
        halvings=max(1, (blocks[0] - 4) // (4 if blur_down else 3)),
        blocks=len(blocks),
        dropout=len(shapes.get(second_conv, ())) != 4,
        blur_down=blur_down,
        blur_up=any(index > blocks[-1] for index in blurs),
    )


def first_layer_settings(shapes: Shapes) -> Table:
    """Return vidtrans's settings ``norm`` and ``conv_bias`` for the first layer of a checkpoint."""
    norm = detect_norm(shapes, "model.2", "model.1")
    return {"norm": norm, "conv_bias": norm in ("batch", "picture", "instance") and "model.1.bias" in shapes}


def map_body(walk: LayerWalk, ours: str, sizes: Sizes, width: int) -> None:
    """Map the tensor names of all layers but the last. ``ours``: vidtrans's module that contains these layers.

    ``width``: the number of channels after the first layer.
    """
    steps = list(itertools.pairwise(width * 2**i for i in range(sizes.halvings + 1)))
    walk.entrance(f"{ours}.entrance", sizes.inputs, width)
    for i, (a, b) in enumerate(steps):
        walk.down(f"{ours}.down.{i}", a, b, blur=sizes.blur_down)
    for i in range(sizes.blocks):
        walk.block(f"{ours}.blocks.{i}", width * 2**sizes.halvings)
    for i, (a, b) in enumerate(reversed(steps)):
        walk.up(f"{ours}.up.{i}", b, a, blur=sizes.blur_up)


class PeerResnet(Family):
    """The residual generator of CycleGAN and of CUT; CUT's layers that change the picture size also blur."""

    title = "ResNet of CycleGAN or CUT"
    tool = "pytorch-CycleGAN-and-pix2pix, contrastive-unpaired-translation"

    def candidate(self, shapes: Shapes) -> Candidate | None:
        """Return the residual generator that fits tensor shapes best; None without residual blocks."""
        sizes = read_sizes(shapes)
        if sizes is None:
            return None
        norms = first_layer_settings(shapes)
        settings = norms | {"channels": sizes.width, "blocks": sizes.blocks}
        settings |= {"blur_down": sizes.blur_down, "blur_up": sizes.blur_up}
        layout = _map_tensors(Layout(shapes), settings, replace(sizes, halvings=2), "body")
        generator = {"name": "residual", "settings": settings}
        return Candidate(generator, (sizes.inputs, sizes.outputs), layout, origin=sizes.origin)

    def layout_of(self, name: str, settings: Table, channels: tuple[int, int], origin: Table) -> Layout | None:
        """Return the layout of vidtrans's generator 'residual' in a file of these tools; None for another generator."""
        if name != "residual":
            return None
        check_fixed_settings(settings, FIXED_SETTINGS if origin else FIXED_SETTINGS | {"conv_bias": False})
        sizes = sizes_from_settings(settings, channels, origin)
        return _map_tensors(Layout.for_export(origin), settings, sizes, "body")


def _map_tensors(layout: Layout, settings: Table, sizes: Sizes, body: str) -> Layout:
    """Map all tensor names of a generator without enhancers; return ``layout``.

    ``body``: the name of vidtrans's module that contains all layers but the last.
    """
    walk = LayerWalk(layout, "model", settings, dropout=sizes.dropout)
    map_body(walk, body, sizes, sizes.width)
    walk.head("head", sizes.width, sizes.outputs)
    return walk.layout


def sizes_from_settings(settings: Table, channels: tuple[int, int], origin: Table) -> Sizes:
    """Return the sizes of a generator from its settings, its (input, output) channels and its record's ``origin``."""
    return Sizes(
        width=settings["channels"],
        inputs=channels[0],
        outputs=channels[1],
        halvings=settings.get("downsamplings", 2),
        blocks=settings["blocks"],
        dropout=origin.get("dropout", False),
        blur_down=settings.get("blur_down", False),
        blur_up=settings.get("blur_up", False),
    )


class GlobalGenerator(LabelFamily):
    """pix2pixHD's generator without local enhancers."""

    title = "global generator of pix2pixHD"
    tool = "pix2pixHD"

    def candidate(self, shapes: Shapes) -> Candidate | None:
        """Return the global generator that fits tensor shapes best; None without residual blocks or with blur."""
        sizes = read_sizes(shapes)
        if sizes is None or sizes.blur_down or sizes.blur_up:
            return None
        settings = first_layer_settings(shapes) | {"channels": sizes.width, "blocks": sizes.blocks}
        settings["downsamplings"] = sizes.halvings
        layout = _map_tensors(Layout(shapes), settings, sizes, "whole")
        generator, channels = {"name": "hd", "settings": settings}, (sizes.inputs, sizes.outputs)
        return Candidate(generator, channels, layout, 512, label_ports(sizes.inputs), origin=sizes.origin)

    def layout_of(self, name: str, settings: Table, channels: tuple[int, int], origin: Table) -> Layout | None:
        """Return the layout of vidtrans's generator 'hd' without enhancers; None for another generator."""
        if name != "hd" or settings["enhancers"]:
            return None
        check_settings(settings)
        sizes = sizes_from_settings(settings, channels, origin)
        return _map_tensors(Layout.for_export(origin), settings, sizes, "whole")


def check_settings(settings: Table) -> None:
    """Raise ValueError if settings differ from pix2pixHD's, whose convolutions all have a bias."""
    check_fixed_settings(settings, FIXED_SETTINGS)
    if not settings["conv_bias"] and settings["norm"] != "plain-instance":
        raise ValueError("its convolutions have no bias, but this tool's have: train with generator.conv_bias=true")


class LocalEnhancer(LabelFamily):
    """pix2pixHD's full generator: ``model`` is the global network, ``model1_1`` and ``model1_2`` the first enhancer."""

    title = "pix2pixHD with local enhancers"
    tool = "pix2pixHD"

    def candidate(self, shapes: Shapes) -> Candidate | None:
        """Return the generator with enhancers that fits tensor shapes best; None without enhancers or blocks."""
        numbers = {int(match[1]) for name in shapes if (match := ENHANCER_DOWN_PATTERN.fullmatch(name))}
        sizes = read_sizes(shapes)
        if not numbers or sizes is None:
            return None
        enhancers = min(max(numbers), MAX_ENHANCERS)
        blocks = len({match[1] for name in shapes if (match := ENHANCER_BLOCK_PATTERN.match(name))})
        outputs = axis_length(shapes, f"model{enhancers}_2.{blocks + 4}.weight", 0, 3)
        settings: Table = first_layer_settings(shapes) | {
            "channels": sizes.width,
            "blocks": sizes.blocks,
            "downsamplings": sizes.halvings,
            "enhancers": enhancers,
            "enhancer_blocks": max(1, blocks),
        }
        layout = _map_enhanced_tensors(Layout(shapes), settings, replace(sizes, outputs=outputs))
        generator = {"name": "hd", "settings": settings}
        return Candidate(
            generator, (sizes.inputs, outputs), layout, 1024, label_ports(sizes.inputs), origin=sizes.origin
        )

    def layout_of(self, name: str, settings: Table, channels: tuple[int, int], origin: Table) -> Layout | None:
        """Return the layout of vidtrans's generator 'hd' with enhancers; None for another generator."""
        if name != "hd" or not settings["enhancers"]:
            return None
        check_settings(settings)
        return _map_enhanced_tensors(
            Layout.for_export(origin), settings, sizes_from_settings(settings, channels, origin)
        )


def _map_enhanced_tensors(layout: Layout, settings: Table, sizes: Sizes) -> Layout:
    """Map all tensor names of a generator with local enhancers; return ``layout``."""
    map_body(LayerWalk(layout, "model", settings, dropout=sizes.dropout), "whole", sizes, sizes.width)
    for number in range(1, settings["enhancers"] + 1):
        width = sizes.width // 2**number
        ours, down = f"enhancers.{number - 1}", LayerWalk(layout, f"model{number}_1", settings, dropout=False)
        down.entrance(f"{ours}.entrance", sizes.inputs, width)
        down.down(f"{ours}.down", width, 2 * width)
        up = LayerWalk(layout, f"model{number}_2", settings, dropout=sizes.dropout)
        for i in range(settings["enhancer_blocks"]):
            up.block(f"{ours}.blocks.{i}", 2 * width)
        up.up(f"{ours}.up", 2 * width, width)
        if number == settings["enhancers"]:
            up.head("head", width, sizes.outputs)
    return layout
