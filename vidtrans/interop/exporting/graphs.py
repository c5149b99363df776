"""Modules to export, and the comparison of a written file with its model before the file is moved to its final path.

A module is a network for pictures of any size, without or with its pairing, for float or 8-bit pictures.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from vidtrans.core.errors import ModelError
from vidtrans.core.settings import Table
from vidtrans.inference.torch_engine import pad_by_mirroring, to_pictures
from vidtrans.interop.exporting.base import ExportSubject
from vidtrans.networks.code_planes import append_planes
from vidtrans.networks.colour_map import ColourMap, apply_shaper
from vidtrans.networks.convolutions import BlurredConv, DoublingConv, TiledConv, to_standard_layers
from vidtrans.networks.layers import Attention, ReflectPad
from vidtrans.networks.painter import ConditionalNorm, affine
from vidtrans.networks.warp_mix import SingleNorm
from vidtrans.networks.wrappers import LUMINANCE, AdaptedGenerator
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.look_pairing import LookPairing
from vidtrans.pairing.operators import PairingOperators, compile_script
from vidtrans.video.images.picture import resize

# A function that runs the exported file on one picture; shapes and dtypes: see ``check_file``.
Run = Callable[[np.ndarray], np.ndarray]
MAX_DIFFERENCE = 1e-3  # Largest allowed difference between the outputs of file and model, for colours in [−1, 1].
LEVEL = 1 / 127.5  # Width of one 8-bit grey level, for colours in [−1, 1].
# Another library may round a value between two grey levels differently, which changes the output around the pixel.
MAX_DIFFERENT_SHARE = 0.01  # Largest share of output values that may differ by more than a grey level
ROUNDING_ERROR = 1e-5  # Tolerance for float32 rounding in the comparison with ``LEVEL``.
MIN_SIDE_PX = 64  # Smallest side of the pictures for the comparison, in pixels.


class _PlainReflectPad(nn.Module):
    """``ReflectPad`` without its fallback for pictures that are too small to be mirrored."""

    def __init__(self, padding: ReflectPad) -> None:
        super().__init__()
        self.width = padding.width

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (self.width,) * 4, mode="reflect")


class _PlainAttention(nn.Module):
    """``Attention`` as matrix products, because torch before 2.0 has no ``scaled_dot_product_attention``."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.inner, self.outer, self.gate = attention.inner, attention.outer, attention.gate

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.inner(x).flatten(2).chunk(3, dim=1)
        attention = torch.softmax(query.transpose(1, 2) @ key, dim=-1)
        attended = (value @ attention.transpose(1, 2)).reshape(x.shape[0], value.shape[1], x.shape[2], x.shape[3])
        result: Tensor = x + self.gate * self.outer(attended)
        return result


class _PlainColourMap(nn.Module):
    """``ColourMap`` with explicit trilinear interpolation, because ONNX before opset 20 cannot sample a 3D grid."""

    def __init__(self, grade: ColourMap) -> None:
        super().__init__()
        self.multiple = grade.multiple
        self.size = grade.nodes.shape[-1]
        self.colours: Tensor
        self.register_buffer("colours", grade.nodes.detach().flatten(1).clone())
        self.shaper: Tensor | None
        self.register_buffer("shaper", None if grade.shaper is None else grade.shaper.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map colours (N, C, H, W) in [−1, 1] through the LUTs; with over three channels, use the last three."""
        if x.shape[1] < 3:
            x = x[:, :1].expand(-1, 3, -1, -1)
        x = x[:, -3:] if self.shaper is None else apply_shaper(x[:, -3:], self.shaper)
        position = (((x + 1) / 2).clamp(0, 1) * (self.size - 1)).float()
        below = position.floor().clamp(max=self.size - 2)
        fraction, node = position - below, below.long()
        total: Tensor | None = None
        for corner in range(8):
            steps = [corner >> axis & 1 for axis in range(3)]  # Steps along red, green and blue
            weights = [fraction[:, c] if step else 1 - fraction[:, c] for c, step in enumerate(steps)]
            red, green, blue = (node[:, c] + step for c, step in enumerate(steps))
            number = ((blue * self.size + green) * self.size + red).unsqueeze(1)
            colour = torch.cat([self._channel(c, number) for c in range(3)], 1)
            part = colour * (weights[0] * weights[1] * weights[2]).unsqueeze(1)
            total = part if total is None else total + part
        assert total is not None
        return total * 2 - 1

    def _channel(self, channel: int, number: Tensor) -> Tensor:
        """Return one colour channel of the LUT nodes at the indices ``number``, in the shape of ``number``."""
        return self.colours[channel].index_select(0, number.reshape(-1)).reshape(number.shape)


class _PlainAdapted(nn.Module):
    """``AdaptedGenerator`` with scales and shifts as buffers, because a trace fixes the device of other tensors."""

    luminance: Tensor
    in_scale: Tensor
    in_shift: Tensor
    out_scale: Tensor
    out_shift: Tensor

    def __init__(self, adapted: AdaptedGenerator) -> None:
        super().__init__()
        self.network, self.ports = adapted.network, adapted.ports
        self.multiple, self.smallest = adapted.multiple, adapted.smallest
        ports = adapted.ports
        columns = {
            "luminance": LUMINANCE,
            "in_scale": ports.in_scale,
            "in_shift": ports.in_shift,
            "out_scale": ports.out_scale,
            "out_shift": ports.out_shift,
        }
        for name, values in columns.items():
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Convert (N, C, H, W) in [−1, 1] to the network's value range, run it, and convert back to RGB in [−1, 1]."""
        in_channels = self.ports.in_channels
        if x.shape[1] == 3 and in_channels == 1:
            x = (x * self.luminance).sum(1, keepdim=True)
        elif x.shape[1] == 1 and in_channels > 1:
            x = x.expand(-1, in_channels, -1, -1)
        if self.ports.bgr and in_channels == 3:
            x = torch.cat([x[:, c : c + 1] for c in (2, 1, 0)], 1)
        if self.ports.invert:
            x = -x
        y = self.network(x * self.in_scale + self.in_shift)[:, :3] * self.out_scale + self.out_shift
        if self.ports.out_channels == 1:
            return y.expand(-1, 3, -1, -1)
        return torch.cat([y[:, c : c + 1] for c in (2, 1, 0)], 1) if self.ports.bgr else y


class _PlainConditionalNorm(nn.Module):
    """``ConditionalNorm`` with torch's instance norm, which every exporter can write."""

    def __init__(self, norm: ConditionalNorm) -> None:
        super().__init__()
        self.norm, self.scale, self.shift = norm.norm, norm.scale, norm.shift
        self.stroke_scale, self.stroke_shift = norm.stroke_scale, norm.stroke_shift

    def forward(self, x: Tensor, shares: Tensor, stroke: Tensor) -> Tensor:
        """Normalise features (N, C, H, W), then scale and shift them by the style weights and the stroke size."""
        scale, shift = affine(self, shares, stroke)
        normed: Tensor = self.norm(x)
        return normed * scale[..., None, None] + shift[..., None, None]


def _exportable_norm(norm: SingleNorm) -> nn.Module:
    """Return a ``SingleNorm``, the instance norm that accepts a single pixel, as torch's instance norm."""
    instance_norm = nn.InstanceNorm2d(norm.num_features, norm.eps, affine=True)
    instance_norm.weight, instance_norm.bias = norm.weight, norm.bias
    return instance_norm


# Functions that return an exportable layer with the same output, by the class of the original layer.
EXPORTABLE_LAYERS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    ReflectPad: _PlainReflectPad,
    Attention: _PlainAttention,
    ColourMap: _PlainColourMap,
    AdaptedGenerator: _PlainAdapted,
    SingleNorm: _exportable_norm,
    ConditionalNorm: _PlainConditionalNorm,
    TiledConv: to_standard_layers,
    BlurredConv: to_standard_layers,
    DoublingConv: to_standard_layers,
}


def to_exportable(generator: nn.Module) -> nn.Module:
    """Return a copy of a generator in eval mode with exportable layers; its outputs are equal within rounding.

    Input sides must be at least ``smallest_side``. Spectral norms are merged into the weights.
    """
    network = _to_exportable(copy.deepcopy(generator).eval())
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            setattr(parent, name, _to_exportable(child))
    return network


def _to_exportable(module: Any) -> nn.Module:  # noqa: ANN401  (a layer)
    """Return the exportable version of a layer: replaced by ``EXPORTABLE_LAYERS``, or with its spectral norm merged."""
    if type(module) in EXPORTABLE_LAYERS:
        return EXPORTABLE_LAYERS[type(module)](module)
    if isinstance(module, nn.Conv2d) and parametrize.is_parametrized(module, "weight"):
        # ``remove_parametrizations`` would change the class, which the original generator shares.
        settings = module.kernel_size, module.stride, module.padding, module.dilation, module.groups
        conv = nn.Conv2d(module.in_channels, module.out_channels, *settings, bias=module.bias is not None)  # type: ignore[arg-type]
        conv.weight, conv.bias = nn.Parameter(module.weight.detach(), requires_grad=False), module.bias
        return conv
    return module


@torch.no_grad()
def smallest_side(generator: Any, channels: int) -> int:  # noqa: ANN401  (a generator)
    """Return an input side in pixels at which no ``ReflectPad`` of a generator gets a picture too small to mirror.

    ``channels``: number of input channels. The side is the generator's ``multiple``, doubled until it suffices.
    """
    paddings = [m for m in generator.modules() if isinstance(m, ReflectPad)]
    side, small = int(generator.multiple), []
    if any(isinstance(m, nn.InstanceNorm2d) for m in generator.modules()):
        side = max(side, int(generator.smallest))  # torch refuses an instance norm over a single value

    def record_small_input(padding: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Record a ``ReflectPad`` whose input is too small to be mirrored; a forward hook."""
        if isinstance(padding, ReflectPad) and min(inputs[0].shape[-2:]) <= padding.width:
            small.append(padding)

    hooks = [padding.register_forward_pre_hook(record_small_input) for padding in paddings]
    try:
        while True:
            small.clear()
            generator(torch.zeros(1, channels, side, side))
            if not small:
                return side
            side *= 2
    finally:
        for hook in hooks:
            hook.remove()


@compile_script
def grow_by_mirroring(x: Tensor, side: int, multiple: int, smallest: int) -> Tensor:
    """Pad axis ``side`` of (N, C, H, W) at its end by mirroring, to a multiple of ``multiple`` ≥ ``smallest``."""
    length = x.size(side)
    padded_length = (max(length, smallest) + multiple - 1) // multiple * multiple
    positions = torch.remainder(torch.arange(padded_length, device=x.device), 2 * length)
    return x.index_select(side, torch.minimum(positions, 2 * length - 1 - positions))


class NetworkGraph(nn.Module):
    """The network for any picture size, (N, C, H, W) float32 in [−1, 1] → (N, 3, H, W): pad by mirroring, run, crop."""

    def __init__(self, generator: Any, channels: int) -> None:  # noqa: ANN401  (a generator)
        """Create the module; ``channels``: number of the generator's input channels."""
        super().__init__()
        self.multiple, self.smallest = int(generator.multiple), smallest_side(generator, channels)
        self.network = to_exportable(generator)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output (N, 3, H, W) for ``x`` (N, C, H, W), both in [−1, 1]."""
        height, width = x.shape[2], x.shape[3]
        if self.multiple > 1:
            x = grow_by_mirroring(x, 2, self.multiple, self.smallest)
            x = grow_by_mirroring(x, 3, self.multiple, self.smallest)
        y: Tensor = self.network(x)
        return y[:, :, :height, :width]


class UnitGraph(nn.Module):
    """The network for float pictures in [0, 1], as compositing programs use them: (N, C, H, W) → (N, 3, H, W)."""

    def __init__(self, network: NetworkGraph) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return the output, (N, 3, H, W) in [0, 1], for ``x``, (N, C, H, W) in [0, 1]."""
        y: Tensor = self.network(x * 2 - 1)
        return (y + 1) / 2


class WholeGraph(nn.Module):
    """The whole model, from RGB to RGB: the pairing, the network, and the pairing's last step, ``finish``.

    ``eight_bits``: input and output are (N, H, W, 3) uint8; otherwise (N, 3, H, W) floats in [0, 1], with a clamped
    input and an output that is not rounded.
    """

    def __init__(self, network: NetworkGraph, pairing: PairingOperators, *, eight_bits: bool) -> None:
        """Create the module; ``eight_bits``: input and output are uint8 instead of floats in [0, 1]."""
        super().__init__()
        self.network, self.pairing, self.eight_bits = network, pairing, eight_bits

    def forward(self, x: Tensor) -> Tensor:
        """Return the finished RGB output in the input's layout and dtype."""
        frame = x.permute(0, 3, 1, 2).to(torch.float32) if self.eight_bits else x.clamp(0.0, 1.0) * 255.0
        output = (self.network(self.pairing(frame) / 127.5 - 1) + 1) * 127.5
        if not self.eight_bits:
            return self.pairing.finish(frame, output) / 255.0
        finished = self.pairing.finish(frame, torch.round(output).clamp(0.0, 255.0))
        return torch.round(finished).to(torch.uint8).permute(0, 2, 3, 1)


class CodedOperators(PairingOperators):
    """The ``inner`` operators of a pairing, with the planes of a style code appended to their output.

    ``conditions``: the values of the code planes, 0 to 1.
    """

    def __init__(self, inner: PairingOperators, pairing: Pairing, conditions: tuple[float, ...]) -> None:
        """Create the operators; ``conditions``: the style code's plane values, 0 to 1."""
        super().__init__(pairing, conditions)
        self.inner = inner
        self.smallest = inner.smallest  # type: ignore[misc]

    def forward(self, frame: Tensor) -> Tensor:
        """Return the network's input (N, in_channels + code size, H, W) for frames (N, 3, H, W); levels 0 to 255."""
        levels: Tensor = self.inner(frame)
        planes = [torch.full_like(levels[:, :1], float(round(255 * value))) for value in self.conditions]
        return torch.cat([levels, *planes], 1)

    def finish(self, frame: Tensor, output: Tensor) -> Tensor:
        """Return the ``inner`` pairing's final picture for a frame and an output, (N, 3, H, W) in levels 0 to 255."""
        return self.inner.finish(frame, output)


def pairing_operators(subject: ExportSubject) -> PairingOperators:
    """Return the pairing of a model as torch operators. The pairing's ``operators`` must name a class."""
    module, _, name = subject.pairing.operators.partition(":")
    operators: PairingOperators = getattr(importlib.import_module(module), name)(subject.pairing, subject.conditions)
    return CodedOperators(operators, subject.pairing, subject.conditions) if subject.record.code_size else operators


def build_graph(subject: ExportSubject, *, eight_bits: bool) -> NetworkGraph | WholeGraph:
    """Return the module to export, with the pairing if ``subject.whole``; ``eight_bits``: its pictures are uint8 then.

    See ``WholeGraph``; without the pairing, input and output are float32.
    """
    network = NetworkGraph(subject.generator, subject.in_channels)
    if not subject.whole:
        return network.eval()
    return WholeGraph(network, pairing_operators(subject), eight_bits=eight_bits).eval()


@dataclass(frozen=True)
class Comparison:
    """The differences between an exported file and its model for one synthetic picture.

    Attributes:
        output: Absolute difference of each output value, an array of the output's shape, for colours in [−1, 1].
        net_input: Largest difference between the network's input in the exported graph and in a render, in grey levels
            of 8 bits; 0 for a file that contains the network without pairing.
    """

    output: np.ndarray
    net_input: float = 0.0


def check_file(subject: ExportSubject, graph: NetworkGraph | WholeGraph, run: Run) -> Table:
    """Run a file on synthetic pictures of three sizes, compare it with its model, and return statistics for the report.

    Args:
        subject: The model.
        graph: The module that was written to the file.
        run: Runs the file. With the pairing: (H, W, 3) uint8 → (H', W', 3) uint8; the network alone: (C, H, W) float32
            in [−1, 1] → (3, H, W).

    Raises:
        ModelError: The file's output differs from the model's.
    """
    network = graph.network if isinstance(graph, WholeGraph) else graph
    pairing_min_side = graph.pairing.smallest if isinstance(graph, WholeGraph) else 1
    side = max(network.smallest, network.multiple, MIN_SIDE_PX, pairing_min_side)
    sizes = ((side, side), (side + side // 3 + 1, side + 3), (side + 1, 2 * side - 7))
    pictures = [synthetic_picture(height, width, seed) for seed, (height, width) in enumerate(sizes)]
    if isinstance(graph, WholeGraph):
        comparisons = [_compare_whole(subject, graph.pairing, run, picture) for picture in pictures]
    else:
        comparisons = [_compare_network(subject, run, picture) for picture in pictures]
    values = np.concatenate([comparison.output.ravel() for comparison in comparisons])
    report: Table = {
        "max_difference": float(values.max()),
        "compared_sizes": [f"{width}x{height}" for height, width in sizes],
    }
    if subject.whole:
        report["input_difference"] = max(comparison.net_input for comparison in comparisons)
    share = float((values > LEVEL + ROUNDING_ERROR).mean())
    is_close = values.max() <= MAX_DIFFERENCE
    if subject.whole:
        is_close = share <= MAX_DIFFERENT_SHARE and report["input_difference"] <= 1
    if not is_close or not np.isfinite(values).all():
        why = f"the exported file's output differs from the model's (by up to {values.max():.3g})"
        raise ModelError(f"model '{subject.name}'", why, "no file was written; please report this with the model")
    return report


def _compare_network(subject: ExportSubject, run: Run, frame: np.ndarray) -> Comparison:
    """Compare the outputs of the file and of the original network for an input made from ``frame`` (H, W, 3) uint8."""
    count = subject.in_channels
    planes = np.concatenate([np.roll(frame, 7 * n, 0) for n in range(-(-count // 3))], axis=2)[..., :count]
    x = np.ascontiguousarray(planes.transpose(2, 0, 1), np.float32) / 127.5 - 1
    return Comparison(np.abs(run(x) - run_model(subject, torch.from_numpy(x)[None])[0].numpy()))


def _compare_whole(subject: ExportSubject, operators: PairingOperators, run: Run, frame: np.ndarray) -> Comparison:
    """Compare the output of a file that includes the pairing with the model's, for ``frame`` (H, W, 3) uint8.

    Compare also the network input that ``operators`` make of the frame with the network input of a render.
    """
    guide, expected = render_input(subject, frame)
    with torch.no_grad():
        levels = operators(torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)))[None].float())
    net_input = levels[0].permute(1, 2, 0).numpy()
    output = to_pictures(run_model(subject, levels / 127.5 - 1), deep=False)[0]
    finished = subject.pairing.finish(guide, output, expected)
    output_difference = np.abs(run(frame).astype(np.float32) - finished) / 127.5
    return Comparison(output_difference, float(np.abs(net_input - expected).max()))


def render_input(subject: ExportSubject, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a frame (H, W, 3) uint8 resized to its render size, and the network input that a render makes of it."""
    pairing = subject.pairing
    if pairing.upscale_factor > 1:
        height, width = (side * pairing.upscale_factor for side in frame.shape[:2])
        frame = resize(frame, width, height)
    if isinstance(pairing, LookPairing):
        *shares, stroke = subject.conditions
        return frame, pairing.conditioned(frame, np.array(shares), stroke)
    network_input = pairing.input([frame])
    if subject.record.code_size:
        network_input = append_planes(network_input, np.rint(255 * np.array(subject.conditions)).astype(np.uint8))
    return frame, network_input


@torch.no_grad()
def run_model(subject: ExportSubject, x: Tensor) -> Tensor:
    """Return the original network's output (N, 3, H, W) for ``x`` (N, C, H, W), both float32 in [−1, 1]."""
    height, width = x.shape[2:]
    output: Tensor = subject.generator(pad_by_mirroring(x, subject.generator.multiple))
    return output[:, :, :height, :width].float()


def synthetic_picture(height: int, width: int, seed: int) -> np.ndarray:
    """Return a picture (height, width, 3) uint8 with smooth colours, discs and noise, determined by ``seed``."""
    rng = np.random.default_rng(seed)
    picture = cv2.resize(rng.random((5, 7, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    for _ in range(12):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        radius = int(rng.integers(2, max(3, min(height, width) // 4)))
        cv2.circle(picture, centre, radius, [float(v) for v in rng.random(3)], -1)
    noisy = picture * 225 + 15 + rng.normal(0, 3, picture.shape)
    return np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)
