"""The family of pix2pix's U-Net (Isola et al., CVPR 2017), whose blocks are nested in each other."""

from __future__ import annotations

from vidtrans.core.settings import Table
from vidtrans.interop.families.base import (
    Candidate,
    Family,
    Layout,
    Shape,
    Shapes,
    axis_length,
    check_fixed_settings,
    detect_norm,
)

# Names of vidtrans's generators by the number of halvings of the picture size; 'unet-256' for other numbers.
GENERATOR_NAMES = {6: "unet-64", 7: "unet-128", 9: "unet-512"}
MAX_HALVINGS = 9  # Largest number of halvings of the picture size, that of ``unet_512``.
# Settings of vidtrans's U-Nets that are constant in pix2pix's.
FIXED_SETTINGS: Table = {"upsample": "transposed", "skip_connections": True, "inner_norm": False, "conv_bias": False}


def _tensor_prefix(depth: int, part: int) -> str:
    """Return the tensor name prefix of layer ``part`` of the block at a depth; depth 0 is the outermost block."""
    block = "model" if depth == 0 else "model.model.1" + ".model.3" * (depth - 1)
    return f"{block}.model.{part}"


class PeerUNet(Family):
    """pix2pix's U-Net generators ``unet_32`` … ``unet_512``, of any width."""

    title = "U-Net of pix2pix"
    tool = "pytorch-CycleGAN-and-pix2pix"

    def candidate(self, shapes: Shapes) -> Candidate | None:
        """Return the U-Net that fits tensor shapes best; None without the family's first weight."""
        first = "model.model.0.weight"
        if first not in shapes:
            return None
        inside = [depth for depth in range(1, MAX_HALVINGS) if f"{_tensor_prefix(depth, 1)}.weight" in shapes]
        halvings = max(3, len(inside) + 1)
        norm = detect_norm(shapes, _tensor_prefix(1, 2), _tensor_prefix(1, 1))
        channels, inputs, outputs = (
            axis_length(shapes, n, a, 1) for n, a in ((first, 0), (first, 1), ("model.model.3.weight", 1))
        )
        settings: Table = {"channels": channels, "downsamplings": halvings, "norm": norm}
        layout = map_tensors(Layout(shapes), settings, inputs, outputs)
        generator = {"name": GENERATOR_NAMES.get(halvings, "unet-256"), "settings": settings}
        return Candidate(generator, (inputs, outputs), layout, size=2**halvings, dark_lines=True)

    def layout_of(self, name: str, settings: Table, channels: tuple[int, int], origin: Table) -> Layout | None:
        """Return the layout of one of vidtrans's U-Nets in a file of pix2pix; None for another generator."""
        if name not in ("unet-256", *GENERATOR_NAMES.values()):
            return None
        check_fixed_settings(settings, FIXED_SETTINGS)
        return map_tensors(Layout.for_export(origin), settings, *channels)


def map_tensors(layout: Layout, settings: Table, inputs: int, outputs: int) -> Layout:
    """Map all tensor names of a U-Net with these ``settings`` and numbers of channels; return ``layout``."""
    depth, norm = settings["downsamplings"], settings["norm"]
    widths = [settings["channels"] * min(2**i, 8) for i in range(depth)]
    biased = norm == "plain-instance"  # Networks of pix2pix without any norm also have no bias
    for i, (a, b) in enumerate(zip([inputs, *widths[:-1]], widths, strict=True)):
        index = 0 if i == 0 else 1
        ours = f"down.{i}.{index}"
        layout.conv(ours, _tensor_prefix(i, index), (b, a, 4, 4), bias=biased, zero_bias=norm == "none")
        if 0 < i < depth - 1:
            layout.norm(f"down.{i}.2", _tensor_prefix(i, 2), b, norm)
    for i in range(depth - 1, 0, -1):
        innermost = i == depth - 1
        index, ours = (3 if innermost else 5), f"up.{depth - 1 - i}"
        shape: Shape = (widths[i] * (1 if innermost else 2), widths[i - 1], 4, 4)
        layout.transposed(f"{ours}.1", _tensor_prefix(i, index), shape, bias=biased, zero_bias=norm == "none")
        if not innermost:  # vidtrans concatenates (inner features, skip), pix2pix (skip, inner features)
            layout.swapped.add(f"{ours}.1.weight")
        layout.norm(f"{ours}.2", _tensor_prefix(i, index + 1), widths[i - 1], norm)
    layout.transposed("head.1", "model.model.3", (2 * widths[0], outputs, 4, 4), bias=True)
    layout.swapped.add("head.1.weight")
    return layout
