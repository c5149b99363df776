"""The family of PyTorch's fast neural style examples (Johnson et al., ECCV 2016), for pictures from 0 to 255."""

from __future__ import annotations

import re

from vidtrans.core.settings import Table
from vidtrans.interop.families.base import Candidate, Family, Layout, Shapes, axis_length, check_fixed_settings
from vidtrans.interop.families.resnet import FRAME_PAIRING
from vidtrans.networks.ports import range_ports

FIRST_WEIGHT = "conv1.conv2d.weight"  # Name of the first layer's weight, by which the family is recognised.
# The name of a residual block's first weight, such as "res1.conv1.conv2d.weight".
BLOCK_PATTERN = re.compile(r"res(\d{1,3})\.conv1\.conv2d\.weight")
KERNEL = 9  # Side of the square kernels in the first and the last layer, in pixels.


class FastStyle(Family):
    """The network ``TransformerNet`` of the examples, of any width and number of blocks."""

    title = "fast neural style of PyTorch's examples"
    tool = "pytorch/examples fast_neural_style"

    def candidate(self, shapes: Shapes) -> Candidate | None:
        """Return the style network that fits tensor shapes best; None without the family's first weight."""
        if FIRST_WEIGHT not in shapes:
            return None
        blocks = {int(match[1]) for name in shapes if (match := BLOCK_PATTERN.fullmatch(name))}
        settings: Table = {"channels": axis_length(shapes, FIRST_WEIGHT, 0, 1), "blocks": max(1, len(blocks))}
        inputs, outputs = axis_length(shapes, FIRST_WEIGHT, 1, 1), axis_length(shapes, "deconv3.conv2d.weight", 0, 3)
        generator = {"name": "style-net", "settings": settings}
        layout = map_tensors(Layout(shapes), settings, inputs, outputs)
        return Candidate(generator, (inputs, outputs), layout, ports=dict(range_ports(0, 255)), pairing=FRAME_PAIRING)

    def layout_of(self, name: str, settings: Table, channels: tuple[int, int], origin: Table) -> Layout | None:
        """Return the layout of vidtrans's 'style-net' in a file of the examples; None for another generator."""
        if name != "style-net":
            return None
        fixed = {"padding": "mirror", "upsampling": "nearest", "head": "linear", "conv_bias": True}
        check_fixed_settings(settings, fixed)
        return map_tensors(Layout(), settings, *channels)


def map_tensors(layout: Layout, settings: Table, inputs: int, outputs: int) -> Layout:
    """Map all tensor names of a network with ``channels`` and ``blocks`` in ``settings``; return ``layout``."""
    width = settings["channels"]

    def layer(ours: str, conv: str, norm: str, sizes: tuple[int, int], kernel: int = 3) -> None:
        """Map the tensor names of a convolution of ``sizes`` (inputs, outputs) and its norm, unless ``norm`` is ''."""
        layout.conv(f"{ours}.conv", f"{conv}.conv2d", (sizes[1], sizes[0], kernel, kernel), bias=True)
        if norm:
            layout.norm(f"{ours}.norm", norm, sizes[1], "instance")

    layer("entrance", "conv1", "in1", (inputs, width), KERNEL)
    layer("down.0", "conv2", "in2", (width, 2 * width))
    layer("down.1", "conv3", "in3", (2 * width, 4 * width))
    for i in range(settings["blocks"]):
        for number, part in ((1, "first"), (2, "second")):
            theirs = f"res{i + 1}"
            layer(f"blocks.{i}.{part}", f"{theirs}.conv{number}", f"{theirs}.in{number}", (4 * width, 4 * width))
    layer("up.0", "deconv1", "in4", (4 * width, 2 * width))
    layer("up.1", "deconv2", "in5", (2 * width, width))
    layer("head", "deconv3", "", (width, outputs), KERNEL)
    return layout
