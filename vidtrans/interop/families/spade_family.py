"""The family of SPADE generators (Park et al., CVPR 2019; see ``networks.spade``)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from vidtrans.core.settings import Table
from vidtrans.interop.families.base import LABEL_PORTS, STATISTICS, Candidate, LabelFamily, Layout, Shapes, axis_length

# Name of the first layer's weight, by which the family is recognised.
FIRST_WEIGHT = "head_0.norm_0.mlp_shared.0.weight"
# Numbers of blocks that halve the channel count, for ``num_upsampling_layers`` 'normal' and 'most'.
NUM_UPS_NORMAL, NUM_UPS_MOST = 4, 5
WIDEST = 16  # Channel count of the innermost layers, in multiples of SPADE's option ``ngf``.
MAX_START_SIDE = 256  # Largest side, in pixels, of the learned feature map with which the network starts.
# Message about a checkpoint whose tensors fit two values of ``num_upsampling_layers``.
AMBIGUOUS_NOTE = (
    "networks of 'num_upsampling_layers normal' and 'more' have the same tensors: it is treated as 'normal' "
    "(256 pixels); for 'more' put its opt.txt beside it"
)

# Message about a checkpoint with a style encoder.
CODE_NOTE = "it was trained with a style encoder: every frame gets the style code 0, the mean of the training's codes"


class PeerSpade(LabelFamily):
    """SPADE's generators of any width and label count, with ``num_upsampling_layers`` 'normal', 'more' or 'most'."""

    title = "SPADE"
    tool = "SPADE"

    def candidate(self, shapes: Shapes) -> Candidate | None:
        """Return the network that fits; only ``with_options`` distinguishes 'more' (512 pixels) from 'normal' (256)."""
        if FIRST_WEIGHT not in shapes:
            return None
        ups = NUM_UPS_MOST if "up_4.norm_0.mlp_shared.0.weight" in shapes else NUM_UPS_NORMAL
        width = max(1, axis_length(shapes, "head_0.norm_0.mlp_gamma.weight", 0) // WIDEST)
        labels, outputs = axis_length(shapes, FIRST_WEIGHT, 1, 1), axis_length(shapes, "conv_img.weight", 0, 3)
        settings: Table = {
            "channels": max(1, width // 2) if ups == NUM_UPS_MOST else width,
            "upsamplings": 7 if ups == NUM_UPS_MOST else 5,
            "middle_doubling": ups == NUM_UPS_MOST,
            "widest": 2 * WIDEST if ups == NUM_UPS_MOST else WIDEST,
            "hidden": axis_length(shapes, FIRST_WEIGHT, 0, 1),
            "kernel": axis_length(shapes, FIRST_WEIGHT, 2, 3),
            "norm": "batch" if f"head_0.norm_0.param_free_norm.{STATISTICS[0]}" in shapes else "instance",
            "spectral": "head_0.conv_0.weight_orig" in shapes,
        }
        latent = shapes.get("fc.weight", ())
        if len(latent) == 2:
            settings |= {"latent": latent[1], "start_size": start_size(latent[0] // (WIDEST * width))}
        layout = map_tensors(Layout(shapes), settings, (labels, outputs), width)
        notes = (*(() if ups == NUM_UPS_MOST else (AMBIGUOUS_NOTE,)), *((CODE_NOTE,) if len(latent) == 2 else ()))
        generator = {"name": "spade", "settings": settings}
        size = 8 << settings["upsamplings"]
        return Candidate(generator, (labels, outputs), layout, size, ports=dict(LABEL_PORTS), notes=notes)

    def layout_of(self, name: str, settings: Table, channels: tuple[int, int], origin: Table) -> Layout | None:
        """Return the layout of vidtrans's generator 'spade' in a file of SPADE; None for another generator."""
        if name != "spade":
            return None
        sizes = settings["upsamplings"], settings["middle_doubling"], settings["widest"]
        if sizes not in ((5, False, WIDEST), (6, True, WIDEST), (7, True, 2 * WIDEST)):
            raise ValueError("this tool has no such upsampling steps: train with generator.upsamplings=5")
        if settings["norm"] not in ("batch", "instance", "plain-instance"):
            raise ValueError(f"generator.norm is {settings['norm']}, but this tool's is batch or instance")
        width = settings["channels"] * settings["widest"] // WIDEST
        return map_tensors(Layout.for_export(origin), settings, channels, width)

    def with_options(self, candidate: Candidate, options: Mapping[str, str]) -> Candidate:
        """Return the candidate with the labels and ``num_upsampling_layers`` of SPADE's training ``options``."""
        candidate = super().with_options(candidate, options)
        settings = dict(candidate.generator["settings"])
        upsampling_layers = options.get("num_upsampling_layers", "")
        if upsampling_layers == "more" and not settings["middle_doubling"]:
            settings |= {"upsamplings": 6, "middle_doubling": True}
        notes = tuple(note for note in candidate.notes if not upsampling_layers or note != AMBIGUOUS_NOTE)
        return replace(
            candidate,
            generator=candidate.generator | {"settings": settings},
            size=8 << settings["upsamplings"],
            notes=notes,
        )


def start_size(num_positions: int) -> tuple[int, int]:
    """Return the likely (height, width) of a feature map from its number of positions, height × width.

    It is 1:2 if possible, else the most nearly square size.
    """
    if not 0 < num_positions <= MAX_START_SIDE**2:
        return 1, 1
    if num_positions % 2 == 0 and math.isqrt(num_positions // 2) ** 2 == num_positions // 2:
        return math.isqrt(num_positions // 2), 2 * math.isqrt(num_positions // 2)
    height = next(h for h in range(math.isqrt(num_positions), 0, -1) if num_positions % h == 0)
    return height, num_positions // height


def map_tensors(layout: Layout, settings: Table, channels: tuple[int, int], width: int) -> Layout:
    """Map all tensor names of a network whose innermost layers have 16 × ``width`` channels; return ``layout``."""
    (labels, outputs), top = channels, WIDEST * width
    if settings.get("latent"):
        height, across = settings["start_size"]
        layout.conv("start", "fc", (top * height * across, settings["latent"]), bias=True)
    else:
        layout.conv("start", "fc", (top, labels, 3, 3), bias=True)
    _block(layout, "first", "head_0", (top, top), labels, settings)
    ups = NUM_UPS_MOST if settings["widest"] > WIDEST else NUM_UPS_NORMAL
    steps = [("G_middle_0", top, top), ("G_middle_1", top, top)]
    steps += [(f"up_{i}", top >> i, top >> (i + 1)) for i in range(ups)]
    for i, (theirs, a, b) in enumerate(steps):
        _block(layout, f"blocks.{i}", theirs, (a, b), labels, settings)
    layout.conv("head.1", "conv_img", (outputs, top >> ups, 3, 3), bias=True)
    return layout


def _block(layout: Layout, ours: str, theirs: str, sizes: tuple[int, int], labels: int, settings: Table) -> None:
    """Map the tensor names of a residual block of ``sizes`` (input, output channels); ``labels``: label channels."""
    inputs, outputs = sizes
    inner = min(sizes)
    _conv(layout, f"{ours}.convs.0", f"{theirs}.conv_0", (inner, inputs, 3), settings)
    _conv(layout, f"{ours}.convs.1", f"{theirs}.conv_1", (outputs, inner, 3), settings)
    _norm(layout, f"{ours}.norms.0", f"{theirs}.norm_0", inputs, labels, settings)
    _norm(layout, f"{ours}.norms.1", f"{theirs}.norm_1", inner, labels, settings)
    if inputs != outputs:
        _norm(layout, f"{ours}.shortcut.0", f"{theirs}.norm_s", inputs, labels, settings)
        _conv(layout, f"{ours}.shortcut.1", f"{theirs}.conv_s", (outputs, inputs, 1), settings, bias=False)


def _conv(
    layout: Layout, ours: str, theirs: str, sizes: tuple[int, int, int], settings: Table, *, bias: bool = True
) -> None:
    """Map the tensor names of a convolution of ``sizes`` (outputs, inputs, kernel side), also with spectral norm."""
    outputs, inputs, kernel = sizes
    shape = (outputs, inputs, kernel, kernel)
    if not settings["spectral"]:
        layout.conv(ours, theirs, shape, bias=bias)
        return
    inside = f"{ours}.parametrizations.weight"
    layout.tensor(f"{inside}.original", f"{theirs}.weight_orig", shape)
    layout.tensor(f"{inside}.0.left", f"{theirs}.weight_u", (outputs,))
    layout.tensor(f"{inside}.0.right", f"{theirs}.weight_v", (inputs * kernel * kernel,))
    if bias:
        layout.tensor(f"{ours}.bias", f"{theirs}.bias", (outputs,))


def _norm(layout: Layout, ours: str, theirs: str, channels: int, labels: int, settings: Table) -> None:
    """Map the tensor names of a norm, and of the convolutions that compute its scale and shift from the labels."""
    hidden, kernel = settings["hidden"], settings["kernel"]
    if settings["norm"] == "batch":
        for name in STATISTICS:
            layout.tensor(f"{ours}.norm.{name}", f"{theirs}.param_free_norm.{name}", (channels,))
        layout.counter(f"{ours}.norm", f"{theirs}.param_free_norm")
    layout.conv(f"{ours}.look.0", f"{theirs}.mlp_shared.0", (hidden, labels, kernel, kernel), bias=True)
    layout.conv(f"{ours}.scale", f"{theirs}.mlp_gamma", (channels, hidden, kernel, kernel), bias=True)
    layout.conv(f"{ours}.shift", f"{theirs}.mlp_beta", (channels, hidden, kernel, kernel), bias=True)
