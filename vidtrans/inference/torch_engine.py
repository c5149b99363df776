"""The torch engine: eval mode, norms folded into convolutions, channels last, bf16 if the device supports it.

On a CPU the convolutions are packed, see ``networks.for_rendering``. The other engines are subclasses that run a
generator in other libraries.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from vidtrans.core.errors import DeviceError, UsageError, is_out_of_memory
from vidtrans.core.machine import release_cached_memory
from vidtrans.flow.history import CHANNELS as HISTORY_CHANNELS
from vidtrans.inference.cuda_graphs import RecordedNetwork
from vidtrans.inference.device import Device, Precision, resolve_precision, tensor_float32, to_device, torch_dtype
from vidtrans.inference.device_pixels import expand_plate, from_levels_serially, to_levels_serially
from vidtrans.inference.engine import append_history
from vidtrans.inference.operator_checks import NetworkChecks
from vidtrans.inference.tiles import GlobalLayer, next_tile_side, run_fixed, run_tiled
from vidtrans.networks.convolutions import fix_kernels
from vidtrans.networks.for_rendering import can_pack, copy_sharing_weights, fold_norm, pack, use_fast_norms
from vidtrans.networks.init import inner_generator
from vidtrans.networks.unet_small import reduce_memory
from vidtrans.networks.wrappers import PlateGenerator
from vidtrans.video.images.picture import resize

Run = Callable[[Tensor], Tensor]  # A function that runs a network, (N, C, H, W) → (N, 3, H, W)
T = TypeVar("T")  # Type of the result of ``TorchEngine.if_it_fits``
BATCH_SIZES = {"cpu": 4, "cuda": 16, "mps": 4}  # Default batch size by device kind
# On a CPU larger batches are no faster (layers exceed the CPU cache) and need more memory: 1.5 times for 1080p.
# On a GPU the limit is two pictures of 1080p. The limit is part of cache keys.
MAX_PIXELS = {"cpu": 1 << 18, "cuda": 1 << 22}  # Largest number of pixels in a batch, by device kind


def pad_by_mirroring(x: Tensor, multiple: int) -> Tensor:
    """Pad (N, C, H, W) at the right and the bottom to multiples of ``multiple`` pixels, by mirroring."""
    height, width = x.shape[2:]
    return grow_by_mirroring(x, height + -height % multiple, width + -width % multiple)


def grow_by_mirroring(x: Tensor, height: int, width: int) -> Tensor:
    """Pad (N, C, H, W) at the right and the bottom to at least ``height`` and ``width``, by mirroring."""
    for axis, min_length in ((2, height), (3, width)):
        length = x.shape[axis]
        if length < min_length:
            positions = torch.arange(min_length, device=x.device) % (2 * length)
            x = x.index_select(axis, torch.minimum(positions, 2 * length - 1 - positions))
    return x


def to_levels(output: Tensor, *, deep: bool) -> Tensor:
    """Round (N, 3, H, W) float32 in [−1, 1] to (N, H, W, 3) uint8, or if ``deep`` uint16 stored as int16."""
    top = 65535 if deep else 255
    levels = (output + 1).mul_(top / 2).round_().clamp_(0, top).to(torch.int32 if deep else torch.uint8)
    return (levels.to(torch.int16) if deep else levels).permute(0, 2, 3, 1).contiguous()


def to_pictures(output: Tensor, *, deep: bool) -> np.ndarray:
    """Round (N, 3, H, W) float32 in [−1, 1] to (N, H, W, 3) uint8, or uint16 if ``deep``."""
    return _as_pictures(to_levels(output, deep=deep))


def _as_pictures(levels: Tensor) -> np.ndarray:
    """Return pixels as an array on the CPU: uint8, or uint16 from int16 with the same bits."""
    pictures: np.ndarray = levels.cpu().numpy()
    return pictures.view(np.uint16) if pictures.dtype == np.int16 else pictures


class TorchEngine:
    """An engine that pads pictures by mirroring to multiples of the generator's ``multiple``, and crops the outputs.

    A generator with a background plate receives it as additional input. A recurrent generator processes one picture at
    a time, with or without a history. If memory runs out, batches are halved, and single pictures are tiled. Raises
    UsageError if this engine cannot be used here. Any exception may mean that memory ran out (ONNX Runtime's are not
    RuntimeErrors); ``errors.is_out_of_memory`` decides.

    ``place``: the device that ``predict`` expects its input on. ``encoder``: the picture encoder of a multi-style
    generator, else None. ``tile``: the longest side in pixels of the last picture's tiles, None if it was run whole.
    """

    name: ClassVar[str] = "torch"
    slow_to_start: ClassVar[bool] = False  # The command bench measures an engine that is slow to start only with --all
    is_recorded: ClassVar[bool] = True  # Whether the network is replayed as a CUDA graph, see ``cuda_graphs``
    checks: ClassVar[type[NetworkChecks]] = NetworkChecks

    def __init__(
        self,
        generator: Any,  # noqa: ANN401  (a generator as ``vidtrans.networks`` describes it)
        device: Device,
        precision: str = "auto",
        batch: int | None = None,
    ) -> None:
        """Create an engine for a generator; ``batch``: number of pictures that run at once, None for the default."""
        self.device = device
        self.precision = self._resolve("fp32" if getattr(generator, "needs_fp32", False) else precision)
        self._recurrent_channels = generator.in_channels if getattr(generator, "remembers", False) else None
        needs_gradients = getattr(generator, "needs_gradients", False)
        self._runs_itself = getattr(generator, "runs_itself", False)
        self._is_feed_forward = not needs_gradients and not self._runs_itself
        if not self._is_feed_forward and type(self) is not TorchEngine:
            why = "another library runs this model" if self._runs_itself else "this model optimises each frame"
            raise UsageError(f"--engine {self.name}", why, "use --engine torch")
        self.batch = 1 if self._recurrent_channels or self._runs_itself else batch or BATCH_SIZES[device.kind]
        self.multiple: int = generator.multiple
        # The encoder keeps the precision and the device of its weights, so that codes do not depend on the engine.
        self.encoder: Any = getattr(generator, "encoder", None)
        self._plate = generator.picture if isinstance(generator, PlateGenerator) else None
        self._dtype = torch_dtype(self.precision)
        network: Any = fold_norm(copy_sharing_weights(generator).eval())
        fix_kernels(network, tiled=device.kind == "cpu")
        self.place, self.device_kind = device.torch, device.kind
        self._memory_format = torch.contiguous_format if self._runs_itself else torch.channels_last
        network = network.to(self.place, self._dtype).to(memory_format=self._memory_format)
        self._fixed_size: tuple[int, int] | None = getattr(generator, "fixed_size", None)
        self._sees_whole = getattr(generator, "sees_whole", False)
        self._fades = not hasattr(generator, "class_colours")  # Mixtures of class colours belong to no class
        # The batch size affects the choice of kernels, so it is derived from picture sizes, not from free memory.
        self._max_pixels = MAX_PIXELS.get(device.kind)
        self.tile: int | None = None
        self._sides: dict[tuple[int, int], int] = {}  # Tile sides that fit in memory, by the picture's (height, width)
        self._global_layers = [m for m in network.modules() if isinstance(m, GlobalLayer)]
        # Stored frames are resized to the network's input, which must therefore be the whole picture, not a tile.
        self._is_never_tiled = getattr(inner_generator(generator), "frame_memory", None) is not None or needs_gradients
        self.identity = {
            "engine": self.name,
            "torch": torch.__version__.partition("+")[0],
            "precision": self.precision,
            "device": device.kind,
            # The number of threads affects the order, and so the rounding, of sums.
            "threads": str(torch.get_num_threads()) if device.kind == "cpu" else "",
        }
        if self._max_pixels is not None and self.batch > 1:
            self.identity["pixels"] = str(self._max_pixels)
        if not self._is_feed_forward:
            inner: Any = inner_generator(generator)
            self.identity |= inner.identity
        self._input_channels: int | None = getattr(generator, "input_channels", None)
        self._checks = self.checks(network, generator) if self._is_feed_forward else None
        self._network = self._prepare(network)
        records = self.is_recorded and device.kind == "cuda" and self._is_feed_forward
        self._recorded = RecordedNetwork(self._run_network, self.place) if records else None
        if self._global_layers and self._network is not network:
            self._is_never_tiled = True  # The compiled network cannot use recorded statistics

    def _resolve(self, precision: str) -> Precision:
        """Return the precision to use on the engine's device. Raises UsageError."""
        return resolve_precision(precision, self.device)

    def _prepare(self, network: nn.Module) -> Run:
        """Return a function that runs the network on (N, C, H, W), channels last, in the engine's precision."""
        if not self._is_feed_forward or not can_pack(self.device.kind, self.precision):
            return network
        if use_fast_norms(network):
            self.identity["norms"] = "each picture"
        self.identity["engine"] = "torch-packed"
        reduce_memory(network)
        return pack(network)

    @property
    def exact(self) -> list[str]:
        """Return the operators that are computed in fp32, because the engine's precision gives wrong results."""
        return sorted({name for names in self._checks.wrong.values() for name in names}) if self._checks else []

    def identity_at(self, width: int, height: int) -> dict[str, str]:
        """Return the properties that affect the results at a picture size in pixels, with the operators in fp32."""
        if self._checks is None or self._input_channels is None:
            return self.identity
        channels = self._input_channels + (0 if self._plate is None else 3)
        channels += HISTORY_CHANNELS if self._recurrent_channels else 0
        sides = self._fixed_size or (height + -height % self.multiple, width + -width % self.multiple)
        count = self.batch_for(height, width) if self._checks.compares_batches else 1
        wrong = self._checks.wrong_at(self, torch.Size((count, channels, *sides)))
        return self.identity | ({"exact": " ".join(wrong)} if wrong else {})

    @torch.inference_mode()
    def predict(self, inputs: Tensor) -> Tensor:
        """Run (N, C, H, W) float32 in [−1, 1] → (N, 3, H, W) float32, on the engine's device, not rounded.

        Raises DeviceError if a single picture does not fit in memory, even in tiles.
        """
        x, (height, width) = inputs, inputs.shape[2:]
        if self._plate is not None:
            plate = torch.from_numpy(resize(self._plate, width, height)).to(x).permute(2, 0, 1) / 127.5 - 1
            x = torch.cat([x, plate.expand(len(x), -1, -1, -1)], dim=1)
        return self._in_halves(lambda part: self._run_fitting(self._padded(part))[..., :height, :width].contiguous(), x)

    def __call__(self, inputs: np.ndarray, *, deep: bool = False) -> np.ndarray:
        """Run (N, H, W, C) uint8 or uint16 → (N, H, W, 3) uint8, or uint16 if ``deep``.

        Raises DeviceError when a single picture does not fit in memory, even in tiles.
        """
        if self._recurrent_channels is not None:
            inputs = append_history(inputs, self._recurrent_channels)
        # torch has no arithmetic on uint16, so 16-bit levels become int32.
        levels = inputs.astype(np.int32) if inputs.dtype == np.uint16 else np.require(inputs, requirements=["C", "W"])
        return _as_pictures(self.run(torch.from_numpy(levels), deep=deep))

    @torch.inference_mode()
    def run(self, inputs: Tensor, *, deep: bool = False) -> Tensor:
        """Run (N, H, W, C) uint8, or uint16 as int32 → (N, H, W, 3) uint8, or uint16 (``deep``) stored as int16.

        The result stays on the engine's device; the call does not wait for a GPU. Raises DeviceError as ``__call__``
        does.
        """
        outputs: list[Tensor] = []
        while len(inputs):
            count = self.batch_for(*inputs.shape[1:3])
            part, inputs = inputs[:count], inputs[count:]
            # Fill every batch with copies: kernels depend on the batch size, and may round differently.
            missing = part[-1:].expand(count - len(part), *part.shape[1:])
            filled = torch.cat([part, missing]) if len(missing) else part
            outputs.append(self._in_halves(partial(self._forward, deep=deep), filled)[: len(part)])
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def batch_for(self, height: int, width: int) -> int:
        """Return the number of pictures of a size that run at once: ``batch``, or a divisor of ``batch``."""
        if self._max_pixels is None:
            return self.batch
        pixels = (height + -height % self.multiple) * (width + -width % self.multiple)
        max_batch = min(self.batch, max(1, self._max_pixels // pixels))
        return next(count for count in range(max_batch, 0, -1) if self.batch % count == 0)

    def _in_halves(self, run: Run, inputs: Tensor) -> Tensor:
        """Return ``run(inputs)``; if memory runs out, run the halves of the batch, and halve the later batches, too."""
        output = self.if_it_fits(partial(run, inputs))
        if output is not None:
            return output
        if len(inputs) == 1:
            raise self._memory_error()
        self.batch = half = len(inputs) // 2
        return torch.cat([self._in_halves(run, part) for part in (inputs[:half], inputs[half:])])

    def if_it_fits(self, run: Callable[[], T]) -> T | None:
        """Return the result of ``run``; if memory runs out, release caches and graphs and return None."""
        try:
            return run()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        if self._recorded is not None:
            self._recorded.forget()
        release_cached_memory(self.device.kind)
        return None

    def _memory_error(self) -> DeviceError:
        """Return the error for a single picture that does not fit in memory."""
        return DeviceError(self.device.name, "out of memory for one frame", "use a smaller size, or the CPU")

    def _padded(self, x: Tensor) -> Tensor:
        """Pad (N, C, H, W) to multiples of ``multiple`` pixels, and to at least the network's fixed size."""
        if self._fixed_size is None:
            return pad_by_mirroring(x, self.multiple)
        return grow_by_mirroring(pad_by_mirroring(x, self.multiple), *self._fixed_size)

    def _run_fitting(self, x: Tensor) -> Tensor:
        """Run (N, C, H, W) float32 with padded sides → (N, 3, H, W) float32, a single picture in tiles if necessary.

        Raises DeviceError if not even the smallest tiles fit in memory.
        """
        height, width = x.shape[2:]
        if self._fixed_size is not None:
            return run_fixed(self._run_network, x, self._fixed_size, self.multiple, matched=self._sees_whole)
        while True:
            self.tile = tile = self._sides.get((height, width))
            if tile is None:
                run = partial(self._recorded or self._run_network, x)
            else:
                run = partial(
                    run_tiled, self._run_network, x, tile, self.multiple, self._global_layers, fades=self._fades
                )
            output = run() if len(x) > 1 else self.if_it_fits(run)
            if output is not None:
                return output
            side = None if self._is_never_tiled else next_tile_side(tile or max(height, width), self.multiple)
            if side is None:
                raise self._memory_error()
            self._sides[height, width] = side  # Later pictures of this size start with this tile side

    def _run_network(self, x: Tensor) -> Tensor:
        """Run the network on whole pictures or tiles; operators with wrong results are computed in fp32."""
        if self._checks is None or self._checks.wrong.get(x.shape) == []:
            return self.compute(x)
        return self._checks.run(self, x)

    def compute(self, x: Tensor) -> Tensor:
        """Run the network on pictures or tiles without corrections, (N, C, H, W) float32 → (N, 3, H, W) float32."""
        with tensor_float32("tf32") if self.precision == "tf32" else nullcontext():
            return self._network(x.to(self._dtype, memory_format=self._memory_format)).to(torch.float32)

    def _forward(self, inputs: Tensor, deep: bool) -> Tensor:
        """Run one batch, (N, H, W, C), uint8 or 16-bit levels in int32; return (N, H, W, 3), 16 bits if ``deep``."""
        (height, width), middle = inputs.shape[1:3], 127.5 if inputs.dtype == torch.uint8 else 32767.5
        x = inputs if inputs.device.type == self.place.type else to_device(inputs, self.device)
        x = (x if self._plate is None else torch.cat([x, expand_plate(self._plate, x)], dim=3)).permute(0, 3, 1, 2)
        if self._runs_itself and self.device.kind == "cpu":
            y = self._run_fitting(from_levels_serially(self._padded(x), middle))
            return to_levels_serially(y[..., :height, :width], deep=deep)
        y = self._run_fitting(self._padded(x).to(torch.float32).div_(middle).sub_(1))[..., :height, :width]
        return to_levels(y, deep=deep)
