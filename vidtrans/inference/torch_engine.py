"""Torch: eval mode, norm folded into the convolutions, channels last, bf16 where the device has it.

On a CPU the convolutions are ``packed``. The other engines, made of this one, run a generator by other means.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vidtrans.core.errors import DeviceError, UsageError, out_of_memory
from vidtrans.core.machine import release_cached_memory
from vidtrans.flow.history import CHANNELS as HISTORY_CHANNELS
from vidtrans.inference.cuda_graphs import RecordedNetwork
from vidtrans.inference.device import (
    Device,
    Precision,
    resolve_precision,
    tensor_float32,
    to_device,
    torch_dtype,
)
from vidtrans.inference.engine import with_history
from vidtrans.inference.folding import copy_sharing_weights, fold_norm
from vidtrans.inference.packed import can_pack, pack
from vidtrans.inference.picture_norms import use_quick_norms
from vidtrans.inference.product_checks import computed_in_fp32, find_wrong
from vidtrans.inference.product_memory import remembered
from vidtrans.inference.serial_levels import from_levels_serially, to_levels_serially
from vidtrans.inference.tiles import GlobalLayer, next_tile_side, run_fixed, run_tiled
from vidtrans.networks.init import inner_generator
from vidtrans.networks.plate_generator import PlateGenerator
from vidtrans.video.images.picture import resize

Run = Callable[[Tensor], Tensor]
BATCH = {"cpu": 4, "cuda": 16, "mps": 4}
# Pixels that go through the network at once, by the kind of device; the number is in keys. On a CPU more are no
# quicker, as a U-Net's layers do not stay in its cache, and a render of 1080p takes half as much memory again. On a GPU
# these are two pictures of 1080p.
MAX_PIXELS = {"cpu": 1 << 18, "cuda": 1 << 22}


def pad_by_mirroring(x: Tensor, multiple: int) -> Tensor:
    """Return (N, C, H, W) with its sides grown to a multiple, right and below, by mirroring."""
    height, width = x.shape[2:]
    return grow_by_mirroring(x, height + -height % multiple, width + -width % multiple)


def grow_by_mirroring(x: Tensor, height: int, width: int) -> Tensor:
    """Return (N, C, H, W) grown to a height and a width, right and below, by mirroring; never made smaller."""
    for side, wanted in ((2, height), (3, width)):
        length = x.shape[side]
        if length < wanted:
            at = torch.arange(wanted, device=x.device) % (2 * length)
            x = x.index_select(side, torch.minimum(at, 2 * length - 1 - at))
    return x


def to_levels(output: Tensor, *, deep: bool) -> Tensor:
    """Return (N, 3, H, W) float32 in [-1, 1] as (N, H, W, 3) uint8, or uint16 as int16 of its bits, rounded."""
    top = 65535 if deep else 255
    levels = ((output + 1) * (top / 2)).round_().clamp_(0, top).to(torch.int32 if deep else torch.uint8)
    return (levels.to(torch.int16) if deep else levels).permute(0, 2, 3, 1).contiguous()


def to_pictures(output: Tensor, *, deep: bool) -> np.ndarray:
    """Return (N, 3, H, W) float32 in [-1, 1] as (N, H, W, 3) uint8, or uint16 if ``deep``, rounded."""
    return _as_pictures(to_levels(output, deep=deep))


def _as_pictures(levels: Tensor) -> np.ndarray:
    pictures: np.ndarray = levels.cpu().numpy()
    return pictures.view(np.uint16) if pictures.dtype == np.int16 else pictures


class TorchEngine:
    """Runs a generator that has ``multiple``; pads its input by mirroring and cuts the padding off again.

    A generator with a plate gets it beside the input. A recurrent one takes one picture at a time, with or without a
    history beside it. Where memory runs out, fewer pictures go through at once, and one in tiles. Raises UsageError
    where this engine cannot be used here. Any exception may mean that memory ran out (ONNX Runtime's are not
    RuntimeErrors): ``errors.out_of_memory`` tells.

    ``encoder`` finds the codes of pictures, for a generator with many looks; None for another one.
    ``tile`` is the longest side in pixels of the last picture's tiles, None when it went through whole.
    ``exact``: the operators, with their shapes, that are computed in fp32 as they would be wrong otherwise; see
    ``product_checks``.
    """

    name: ClassVar[str] = "torch"
    slow_to_start: ClassVar[bool] = False  # bench measures such an engine only with --all
    is_recorded: ClassVar[bool] = True  # on CUDA as a graph, see ``cuda_graphs``

    def __init__(
        self,
        generator: Any,  # noqa: ANN401  (a generator as ``vidtrans.networks`` describes it)
        device: Device,
        precision: str = "auto",
        batch: int | None = None,
    ) -> None:
        self.device = device
        self.precision = self._resolve("fp32" if getattr(generator, "needs_fp32", False) else precision)
        self._recurrent_channels = generator.in_channels if getattr(generator, "remembers", False) else None
        self._needs_gradients = getattr(generator, "needs_gradients", False)
        self._runs_itself = getattr(generator, "runs_itself", False)
        if (self._needs_gradients or self._runs_itself) and type(self) is not TorchEngine:
            why = "another library runs this model" if self._runs_itself else "this model optimises each frame"
            raise UsageError(f"--engine {self.name}", why, "use --engine torch")
        self.batch = 1 if self._recurrent_channels or self._runs_itself else batch or BATCH[device.kind]
        self.multiple: int = generator.multiple
        # In the precision and at the place of its weights: a picture's code must not depend on the engine.
        self.encoder: Any = getattr(generator, "encoder", None)
        self._plate = generator.picture if isinstance(generator, PlateGenerator) else None
        self._dtype = torch_dtype(self.precision)
        network: Any = fold_norm(copy_sharing_weights(generator).eval())
        self._place, self.device_kind = device.torch, device.kind
        self._memory_format = torch.contiguous_format if self._runs_itself else torch.channels_last
        network = network.to(self._place, self._dtype).to(memory_format=self._memory_format)
        self._fixed_size: tuple[int, int] | None = getattr(generator, "fixed_size", None)
        self._sees_whole = getattr(generator, "sees_whole", False)
        # Which kernels run depends on how many pictures they get: that follows from sizes, not from free memory.
        self._max_pixels = MAX_PIXELS.get(device.kind)
        self.tile: int | None = None
        self._sides: dict[tuple[int, int], int] = {}  # what tiles fit, by the height and width of the picture
        self._whole = [m for m in network.modules() if isinstance(m, GlobalLayer)]
        # A reel's pictures are stretched over what the network sees, which would be the tile.
        self._whole_only = getattr(inner_generator(generator), "reel", None) is not None or self._needs_gradients
        self.identity = {
            "engine": self.name,
            "torch": torch.__version__.partition("+")[0],
            "precision": self.precision,
            "device": device.kind,
            # How a sum is split between threads decides its rounding.
            "threads": str(torch.get_num_threads()) if device.kind == "cpu" else "",
        }
        if self._max_pixels is not None and self.batch > 1:
            self.identity["pixels"] = str(self._max_pixels)
        if self._needs_gradients or self._runs_itself:
            own: Any = inner_generator(generator)
            self.identity |= own.identity
        self._architecture = [repr(network), [list(p.shape) for p in network.parameters()]]
        self._input_channels: int | None = getattr(generator, "input_channels", None)
        self._wrong: dict[torch.Size, list[str]] = {}  # by the shapes that were compared
        self._network = self._prepare(network)
        self._recorded = RecordedNetwork(self._run_network, self._place) if self._can_record() else None
        if self._whole and self._network is not network:
            self._whole_only = True  # the modules are not what runs, and could not be told the picture's statistics

    def _resolve(self, precision: str) -> Precision:
        """Return the precision that this engine uses for a ``rendering.precision``."""
        return resolve_precision(precision, self.device)

    def _prepare(self, network: nn.Module) -> Run:
        """Return what runs the network, which is on its device, on (N, C, H, W) of its precision, channels last."""
        if self._needs_gradients or self._runs_itself or not can_pack(self.device, self.precision):
            return network
        if use_quick_norms(network):
            self.identity["norms"] = "each picture"
        self.identity["engine"] = "torch-packed"
        return pack(network)

    def _can_record(self) -> bool:
        return self.is_recorded and self.device.kind == "cuda" and not self._needs_gradients and not self._runs_itself

    @property
    def exact(self) -> list[str]:
        """Return the operators that are computed in fp32."""
        return sorted({name for names in self._wrong.values() for name in names})

    def identity_at(self, width: int, height: int) -> dict[str, str]:
        """Return ``identity``, and what is computed in fp32 for pictures of a size as it would be wrong otherwise."""
        shape = self._shape_at(width, height)
        if shape is None:
            return self.identity
        if shape not in self._wrong:
            noise = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
            self._find_wrong(noise.to(self._place))
        return self.identity | ({"exact": " ".join(wrong)} if (wrong := self._wrong[shape]) else {})

    def _shape_at(self, width: int, height: int) -> torch.Size | None:
        """Return the shape in which pictures of a size are compared; None where they are not."""
        if self._input_channels is None or self._needs_gradients or self._runs_itself:
            return None
        channels = self._input_channels + (0 if self._plate is None else 3)
        channels += HISTORY_CHANNELS if self._recurrent_channels else 0
        sides = self._fixed_size or (height + -height % self.multiple, width + -width % self.multiple)
        return torch.Size((self._count_at(height, width), channels, *sides))

    def _count_at(self, height: int, width: int) -> int:
        """Return how many pictures of a size are compared at once: one, since it is computed for that alone."""
        del height, width
        return 1

    @torch.inference_mode()
    def _find_wrong(self, x: Tensor) -> Tensor | None:
        """Find out what is wrong at the shape of ``x``; return the right result, unless it was known before."""
        made: list[Tensor] = []
        question = [*self._architecture, list(x.shape), self.identity]
        try:
            self._wrong[x.shape] = remembered(question, self.device, lambda: self._compare(x, made))
        except Exception as error:
            if not out_of_memory(error):
                raise
            # To compare takes more memory than to run. What does not fit either is rendered in tiles, another shape.
            self._release_memory()
            self._wrong[x.shape] = []
            return None
        return made[0] if made else None

    def _compare(self, x: Tensor, made: list[Tensor]) -> list[str]:
        """Return what is wrong at the shape of ``x``, and add the right result to ``made``."""
        return find_wrong(lambda: made.append(self._convert_and_run(x)), self.device)

    @property
    def place(self) -> torch.device:
        """The device on which ``predict`` expects its input."""
        return self._place

    @torch.inference_mode()
    def predict(self, inputs: Tensor) -> Tensor:
        """Run (N, C, H, W) float32 in [-1, 1] → (N, 3, H, W) float32, on the device, as the network made it.

        Raises DeviceError when a single picture does not fit in memory, even in tiles.
        """
        x, (height, width) = inputs, inputs.shape[2:]
        if self._plate is not None:
            plate = torch.from_numpy(resize(self._plate, width, height)).to(x).permute(2, 0, 1) / 127.5 - 1
            x = torch.cat([x, plate.expand(len(x), -1, -1, -1)], dim=1)
        try:
            return self._run_fitting(self._padded(x))[..., :height, :width].contiguous()
        except Exception as error:
            if not out_of_memory(error):
                raise
        self._release_memory()
        if len(inputs) == 1:
            raise self._memory_error()
        return torch.cat([self.predict(one) for one in inputs.split(1)])

    def __call__(self, inputs: np.ndarray, *, deep: bool = False) -> np.ndarray:
        """Run (N, H, W, C) uint8 or uint16 → (N, H, W, 3) uint8, or uint16 if ``deep``.

        Raises DeviceError when a single picture does not fit in memory, even in tiles.
        """
        if self._recurrent_channels is not None:
            inputs = with_history(inputs, self._recurrent_channels)
        # torch has no arithmetic on uint16.
        levels = inputs.astype(np.int32) if inputs.dtype == np.uint16 else np.require(inputs, requirements=["C", "W"])
        return _as_pictures(self.run(torch.from_numpy(levels), deep=deep))

    @torch.inference_mode()
    def run(self, inputs: Tensor, *, deep: bool = False) -> Tensor:
        """Run (N, H, W, C) uint8, or uint16 as int32 → (N, H, W, 3) uint8, or uint16 (``deep``) as int16 of its bits.

        The result lies on the engine's device; on a GPU nothing waits for it. Raises DeviceError as ``__call__``.
        """
        outputs: list[Tensor] = []
        while len(inputs):
            count = self.batch_for(*inputs.shape[1:3])
            part, inputs = inputs[:count], inputs[count:]
            # Always the same number at once: kernels are chosen by batch size, and may round differently.
            missing = part[-1:].expand(count - len(part), *part.shape[1:])
            filled = torch.cat([part, missing]) if len(missing) else part
            outputs.append(self._run(filled, deep)[: len(part)])
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def batch_for(self, height: int, width: int) -> int:
        """Return how many pictures of a size go through the network at once: ``batch``, or a part of it."""
        if self._max_pixels is None:
            return self.batch
        pixels = (height + -height % self.multiple) * (width + -width % self.multiple)
        most = min(self.batch, max(1, self._max_pixels // pixels))
        return next(count for count in range(most, 0, -1) if self.batch % count == 0)

    def _run(self, inputs: Tensor, deep: bool) -> Tensor:
        try:
            return self._forward(inputs, deep)
        except Exception as error:
            if not out_of_memory(error):
                raise
        self._release_memory()
        if len(inputs) == 1:
            raise self._memory_error()
        half = len(inputs) // 2
        self.batch = half  # and keep to what fits
        return torch.cat([self._run(part, deep) for part in (inputs[:half], inputs[half:])])

    def _release_memory(self) -> None:
        if self._recorded is not None:
            self._recorded.forget()
        release_cached_memory(self.device.kind)

    def _memory_error(self) -> DeviceError:
        return DeviceError(self.device.name, "out of memory for one frame", "use a smaller --size, or --device cpu")

    def _padded(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W) grown to what the network takes, or to one of its tiles."""
        if self._fixed_size is None:
            return pad_by_mirroring(x, self.multiple)
        return grow_by_mirroring(pad_by_mirroring(x, self.multiple), *self._fixed_size)

    def _run_fitting(self, x: Tensor) -> Tensor:
        """Run (N, C, H, W) float32, sides multiples → (N, 3, H, W) float32; a single picture in tiles where it must.

        Raises DeviceError when not even the smallest tiles fit in memory.
        """
        height, width = x.shape[2:]
        if self._fixed_size is not None:
            return run_fixed(self._run_network, x, self._fixed_size, self.multiple, matched=self._sees_whole)
        while True:
            self.tile = self._sides.get((height, width))
            try:
                if self.tile is None:
                    return (self._recorded or self._run_network)(x)
                return run_tiled(self._run_network, x, self.tile, self.multiple, self._whole)
            except Exception as error:
                if len(x) > 1 or not out_of_memory(error):
                    raise
            self._release_memory()
            side = None if self._whole_only else next_tile_side(self.tile or max(height, width), self.multiple)
            if side is None:
                raise self._memory_error()
            self._sides[height, width] = side  # and keep to what fits

    def _run_network(self, x: Tensor) -> Tensor:
        """Run whole pictures or tiles: (N, C, H, W) float32, sides multiples → (N, 3, H, W) float32."""
        if self._needs_gradients or self._runs_itself:
            return self._convert_and_run(x)
        if x.shape not in self._wrong and (made := self._find_wrong(x)) is not None:
            return made
        return self._run_right(x, self._wrong[x.shape])

    def _run_right(self, x: Tensor, wrong: list[str]) -> Tensor:
        """Run the network, with what is ``wrong`` at this shape in fp32."""
        if not wrong:
            return self._convert_and_run(x)
        with computed_in_fp32(wrong):
            return self._convert_and_run(x)

    def _convert_and_run(self, x: Tensor) -> Tensor:
        with tensor_float32("tf32") if self.precision == "tf32" else nullcontext():
            return self._network(x.to(self._dtype, memory_format=self._memory_format)).to(torch.float32)

    def _forward(self, inputs: Tensor, deep: bool) -> Tensor:
        (height, width), middle = inputs.shape[1:3], 127.5 if inputs.dtype == torch.uint8 else 32767.5
        x = inputs if inputs.device.type == self._place.type else to_device(inputs, self.device)
        if self._plate is not None:
            x = torch.cat([x, _plate_as(self._plate, x)], dim=3)
        x = x.permute(0, 3, 1, 2)
        if self._runs_itself and self.device.kind == "cpu":
            y = self._run_fitting(from_levels_serially(self._padded(x), middle))
            return to_levels_serially(y[..., :height, :width], deep=deep)
        y = self._run_fitting(self._padded(x).to(torch.float32) / middle - 1)
        return to_levels(y[..., :height, :width], deep=deep)


def _plate_as(plate: np.ndarray, inputs: Tensor) -> Tensor:
    """Return a plate, (h, w, 3) uint8, at the size of inputs, (N, H, W, C): (N, H, W, 3) of their kind and device."""
    height, width = inputs.shape[1:3]
    levels = torch.from_numpy(resize(plate, width, height)).to(inputs)
    return (levels if inputs.dtype == torch.uint8 else levels * 257).expand(len(inputs), -1, -1, -1)
