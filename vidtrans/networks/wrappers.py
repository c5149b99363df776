"""Wrappers of generators: value ranges of other tools, classes, style codes, a background plate, recurrence."""

from __future__ import annotations

from collections.abc import Callable
from math import lcm
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vidtrans.core.errors import UsageError
from vidtrans.networks.code_planes import CODE_RANGE
from vidtrans.networks.layers import PictureNorm
from vidtrans.networks.painter import look_weights
from vidtrans.networks.picture_encoder import PictureEncoder
from vidtrans.networks.ports import PortSettings

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601 weights of R'G'B'
# Factor on the output in [−1, 1], so that two logits differ by at most 20, a ratio of probabilities of 5e8.
LOGIT_SCALE = 10.0
KEEPER_WIDTH = 8  # Number of inner channels of a recurrent generator's mask network.


class AdaptedGenerator(nn.Module):
    """A generator that converts pictures for ``network``, (N, ``ports.in_channels``, H, W), as its ``ports`` specify.

    Tools differ in value range (0…1, 0…255, or mean and deviation per channel), in the order of colours, and in the
    number of channels. The wrapper applies one affine map to the input and one to the output, and reorders or expands
    channels. With ``ports.conditions`` the network also takes the weights of its styles, (N, ``ports.conditions``) in
    [0, 1].
    """

    def __init__(self, network: Any, in_channels: int, ports: PortSettings) -> None:  # noqa: ANN401  (a generator)
        """Wrap another tool's ``network``; ``in_channels``: number of channels of the input before conversion."""
        super().__init__()
        if ports.conditions != getattr(network, "weighted_looks", 0):
            raise ValueError("ports.conditions is not the number of the network's looks")
        self.network, self.ports, self.in_channels = network, ports, in_channels
        self.multiple: int = network.multiple
        self.smallest: int = network.smallest
        self.needs_fp32: bool = getattr(network, "needs_fp32", False)
        self.runs_itself: bool = getattr(network, "runs_itself", False)
        self.fixed_size: tuple[int, int] | None = getattr(network, "fixed_size", None)
        self.sees_whole: bool = getattr(network, "sees_whole", False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) in [−1, 1] → (N, 3, H, W), in [−1, 1] if the network stays in its stated range."""
        if not self.ports.conditions:
            return self._from_network(self.network(self._to_network(x)))
        frame, planes = x.tensor_split([x.shape[1] - self.ports.conditions], dim=1)
        return self._from_network(self.network(self._to_network(frame), look_weights(planes[:, :, 0, 0])))

    def _is_serial(self, x: Tensor) -> bool:
        """Return whether to avoid torch's threads, so that the library that runs the network can use all cores."""
        return self.runs_itself and x.device.type == "cpu" and x.dtype == torch.float32 and not x.requires_grad

    def _to_network(self, x: Tensor) -> Tensor:
        """Return pictures (N, C, H, W) in [−1, 1] with the network's channels, in the network's value range."""
        ports = self.ports
        if x.shape[1] == 3 and ports.in_channels == 1:
            x = _by_channel(x, LUMINANCE, Tensor.mul).sum(1, keepdim=True)
        elif x.shape[1] == 1 and ports.in_channels > 1:
            x = x.expand(-1, ports.in_channels, -1, -1)
        if ports.bgr and ports.in_channels == 3:
            x = x.flip(1)
        if ports.invert:
            x = -x
        return _affine(x, ports.in_scale, ports.in_shift, serial=self._is_serial(x))

    def _from_network(self, y: Tensor) -> Tensor:
        """Return the network's output as RGB pictures (N, 3, H, W) in [−1, 1]."""
        ports = self.ports
        y = _affine(y[:, :3], ports.out_scale, ports.out_shift, serial=self._is_serial(y))
        if y.shape[1] == 1:
            return y.expand(-1, 3, -1, -1)
        return y.flip(1) if ports.bgr else y


def _affine(x: Tensor, scale: tuple[float, ...], shift: tuple[float, ...], *, serial: bool) -> Tensor:
    """Return ``x · scale + shift``; ``serial``: computed by NumPy in the current thread."""
    if serial:
        values = x.numpy() * np.array(scale, np.float32)[:, None, None]
        values += np.array(shift, np.float32)[:, None, None]
        return torch.from_numpy(values)
    if any(s != 1 for s in scale):
        x = _by_channel(x, scale, Tensor.mul)
    if any(s != 0 for s in shift):
        x = _by_channel(x, shift, Tensor.add)
    return x


def _by_channel(x: Tensor, values: tuple[float, ...], operation: Callable[[Tensor, float], Tensor]) -> Tensor:
    """Apply ``operation`` to each channel and its number in ``values``, or to all channels with a single number.

    The numbers are Python floats, because copying a tensor to a GPU blocks, and a CUDA graph cannot record the copy.
    """
    if len(values) == 1:
        return operation(x, values[0])
    return torch.cat([operation(x[:, i : i + 1], value) for i, value in enumerate(values)], dim=1)


class ClassGenerator(nn.Module):
    """A generator that colours each pixel by its most likely class; ``painter`` outputs the logits, (N, K, H, W).

    So a model of classes is rendered, exported and chained like any other model; only training uses the class channels.
    ``colours``: the colours of the K classes, (K, 3) uint8.
    """

    class_colours: Tensor

    def __init__(self, painter: Any, colours: np.ndarray) -> None:  # noqa: ANN401  (a generator)
        """Wrap the generator ``painter`` of class logits; ``colours``: (K, 3) uint8, one per class."""
        super().__init__()
        if getattr(painter, "residual", False):
            why = "the generator adds to its input frame, and classes are no picture"
            raise UsageError("generator.residual", why, "train with --set generator.residual=false")
        self.painter = painter
        self.multiple: int = painter.multiple
        self.smallest: int = painter.smallest
        self.register_buffer("class_colours", torch.tensor(colours.tolist(), dtype=torch.uint8))

    def logits(self, x: Tensor) -> Tensor:
        """Return the unnormalised log-probabilities of the K classes, (N, K, H, W), for (N, C, H, W)."""
        return LOGIT_SCALE * self.painter(x)

    def coloured(self, scores: Tensor) -> Tensor:
        """Return the colours of the classes with the highest scores: (N, K, H, W) → (N, 3, H, W) float32 in [−1, 1]."""
        colours = self.class_colours[scores.argmax(1)]
        return colours.permute(0, 3, 1, 2).float() / 127.5 - 1

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, 3, H, W), in which each pixel has exactly the colour of a class."""
        return self.coloured(self.painter(x))


class CurrentCode:
    """The style codes (N, size) of the batch that a generator is processing. A deep copy of it contains no codes."""

    def __init__(self) -> None:
        self.values: Tensor | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> CurrentCode:
        """Return an object without codes; a copied generator shares it among its norms."""
        copied = CurrentCode()
        memo[id(self)] = copied
        return copied


class CodedNorm(nn.Module):
    """A norm whose output is scaled and shifted by the style code. Before training it equals the inner ``norm``.

    ``size``: length of the style code; ``current``: the code of the batch that is being processed.
    """

    def __init__(self, norm: nn.Module, channels: int, size: int, current: CurrentCode) -> None:
        """Wrap ``norm``; ``size``: length of the style code, ``current``: holds the code of the current batch."""
        super().__init__()
        self.norm, self.current = norm, current
        self.scale = nn.Parameter(torch.zeros(size, channels))
        self.shift = nn.Parameter(torch.zeros(size, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        code = self.current.values
        assert code is not None, "the generator sets it"
        scale, shift = ((code.to(x.dtype) @ part.to(x.dtype))[..., None, None] for part in (self.scale, self.shift))
        normed: Tensor = self.norm(x)
        return normed * (1 + scale) + shift


class CodedGenerator(nn.Module):
    """A generator with many styles: a style code modulates the norms of ``painter``, the wrapped generator.

    The code is given as constant planes at the end of the input, (N, ``in_channels`` + size, H, W), as in BicycleGAN
    (Zhu et al., NeurIPS 2017), whose networks have batch norms. An instance norm removes everything that is constant
    over a picture, so planes alone would have no effect; therefore the code also scales and shifts each norm (AdaIN,
    Huang and Belongie, ICCV 2017). The encoder, which computes the code of a picture, is part of the module, so that a
    model file is complete.

    Batch norms are replaced by ``PictureNorm``: batch statistics would mix the styles in a batch, so that low and high
    contrast could not be distinguished. An input without code planes has the code 0.
    """

    def __init__(self, painter: Any, in_channels: int, size: int) -> None:  # noqa: ANN401  (a generator)
        """Wrap the generator ``painter``, and each of its norms; ``size``: length of the style code."""
        super().__init__()
        self.painter, self.picture_channels, self.code_size = painter, in_channels, size
        self.multiple: int = painter.multiple
        self.smallest: int = painter.smallest
        self.encoder = PictureEncoder(size)
        self._current = CurrentCode()
        for parent in list(painter.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.BatchNorm2d | nn.InstanceNorm2d):
                    norm = PictureNorm(child.num_features) if isinstance(child, nn.BatchNorm2d) else child
                    setattr(parent, name, CodedNorm(norm, child.num_features, size, self._current))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in + size, H, W), of which the last planes are a code, or (N, in, H, W) for the code 0 → (N, 3, H, W)."""
        if x.shape[1] == self.picture_channels:
            x = torch.cat([x, x.new_zeros(len(x), self.code_size, *x.shape[2:])], 1)
        self._current.values = x[:, self.picture_channels :, 0, 0] * CODE_RANGE
        return self.painter(x)


class PlateGenerator(nn.Module):
    """A generator that composites the output of ``painter``, (N, in + 3, H, W) → (N, 4, H, W), over a background plate.

    The plate is given as three more channels of the input, cropped and mirrored like the training pair; the fourth
    channel of the output, m, is the foreground mask: m·rgb + (1 − m)·plate.

    ``plate`` (H, W, 3) uint8 is the background of the targets; ``scene``, of the same shape, is the background of the
    source frames (equal to the plate unless targets differ in appearance).
    """

    plate: Tensor
    scene: Tensor

    def __init__(self, painter: Any, size: tuple[int, int]) -> None:  # noqa: ANN401  (a generator)
        """Wrap the generator ``painter``; ``size``: (width, height) of the background plate."""
        super().__init__()
        if getattr(painter, "residual", False):
            why = "the generator adds to its input frame, so it keeps the background already"
            raise UsageError(
                "training.background_plate", why, "leave it out, or train with --set generator.residual=false"
            )
        self.painter = painter
        self.multiple: int = painter.multiple
        self.smallest: int = painter.smallest
        for name in ("plate", "scene"):
            self.register_buffer(name, torch.zeros((size[1], size[0], 3), dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in + 3, H, W), of which the last three channels are the plate → (N, 3, H, W)."""
        painted, plate = self.painter(x), x[:, -3:]
        share = (painted[:, 3:] + 1) / 2
        return plate + share * (painted[:, :3] - plate)

    @property
    def picture(self) -> np.ndarray:
        """Return the background plate, (H, W, 3) uint8."""
        return self.plate.cpu().numpy()

    def set_plate(self, plate: np.ndarray, scene: np.ndarray) -> None:
        """Set the background of the targets, ``plate``, and of the source frames, ``scene``, (H, W, 3) uint8 each.

        H and W are the ``size`` (width, height) with which the generator was created.
        """
        self.plate.copy_(torch.from_numpy(plate))
        self.scene.copy_(torch.from_numpy(scene))


class RecurrentGenerator(nn.Module):
    """A generator that mixes its last output, warped along the motion, with the picture of the ``painter``, by a mask.

    The painter is any generator that takes (N, ``in_channels``, H, W). The method follows vid2vid (Wang et al.,
    "Video-to-Video Synthesis", NeurIPS 2018, section 3.1) with precomputed flow: where a mask is high, the output is
    the last output, warped along the source's motion; the rest is repainted. Unlike vid2vid, the past is no input of
    the painter: every example trains the painter, and a small network, the keeper, which predicts the mask. After equal
    numbers of steps two variants were worse: with the past as input (half as fast, because the past gives most of the
    answer), and with gradients through the composition (soft pictures are easier to keep; held-out L1 8 % higher).
    """

    remembers: ClassVar[bool] = True

    def __init__(self, painter: Any, in_channels: int) -> None:  # noqa: ANN401  (a generator)
        """Wrap the generator ``painter``; ``in_channels``: its number of input channels."""
        super().__init__()
        self.painter = painter
        self.in_channels = in_channels
        self.multiple = lcm(painter.multiple, 2)
        self.smallest: int = painter.smallest
        # The mask network works at half size: the mask has soft edges, and takes a tenth of the painter's time.
        self.keeper = nn.Sequential(
            nn.Conv2d(3 + in_channels + 4, KEEPER_WIDTH, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(KEEPER_WIDTH, KEEPER_WIDTH, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(KEEPER_WIDTH, 1, 3, 1, 1),
            nn.Upsample(scale_factor=2.0, mode="bilinear"),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in + 4, H, W) → (N, 3, H, W), both in [−1, 1]; the last 4 input channels are a history.

        The history is the warped previous output with its confidence, see ``flow.history``.
        """
        return self.forward_with_repaint(x)[0]

    def forward_with_repaint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output, and the painter's picture before it is mixed with the last output, (N, 3, H, W) each.

        In training both are equal for an example without a history. The painter receives no gradients from the output:
        with them it would learn soft pictures, which are easy to keep.
        """
        repainted = self.painter(x[:, :-4])
        if not torch.is_grad_enabled():
            return self.compose(repainted, x), repainted
        # In training, only some examples of a batch have a history: one with any trust above 0.
        rows = (x[:, -1] > -1).flatten(1).any(1).nonzero()[:, 0]
        if not len(rows):
            return repainted, repainted
        painted = repainted.detach()
        return painted.index_copy(0, rows, self.compose(painted[rows], x[rows])), repainted

    def compose(self, repainted: Tensor, x: Tensor) -> Tensor:
        """Return the painter's picture ``repainted`` (N, 3, H, W), mixed with the warped last output in ``x``.

        ``x``: the generator's whole input, (N, in + 4, H, W).
        With s the trust in the warped last output w, h = s·w, and k the keeper's mask: (1 − s·k) · repainted + k·h.
        """
        keep = self.keeper(torch.cat([repainted, x], 1))
        trust, weighted_past = (x[:, -1:] + 1) / 2, x[:, -4:-1]
        composed: Tensor = (1 - trust * keep) * repainted + keep * weighted_past
        return composed.to(repainted.dtype)
