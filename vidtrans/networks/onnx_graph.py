"""An ONNX graph as a generator, run by ONNX Runtime. Its only weight is the bytes of the ONNX file.

Engines run the graph unchanged (``runs_itself``), one picture at a time: it is not compiled, packed or recorded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.errors import ModelError, UsageError, first_line, is_out_of_memory
from vidtrans.core.machine import import_onnx_runtime
from vidtrans.core.options import option
from vidtrans.networks.ports import MAX_LOOKS, MAX_STYLE_LENGTH, STYLE_DTYPES

# Axis orders of a graph's picture input and of its output
IN_LAYOUTS, OUT_LAYOUTS = ("nchw", "nhwc", "chw", "hwc"), ("nchw", "nhwc", "nhw", "chw", "hwc", "hw")
KINDS = ("float32", "float16", "uint8")  # Supported dtypes of the picture input
MAX_BYTES = 2 << 30  # Largest size of an ONNX file in bytes


@dataclass(frozen=True)
class OnnxGraphSettings:
    """Settings of ``OnnxGraph``: layout, dtype and size of its inputs, its styles, and which output is the picture."""

    bytes: int = option(0, "size of the graph in bytes", bounds=(1, MAX_BYTES))
    layout: str = option("nchw", "axis order of the input", choices=IN_LAYOUTS)
    kind: str = option("float32", "data type of the input", choices=KINDS)
    pictures: int = option(1, "batch size of the input", bounds=(1, 64))
    height: int = option(0, "height of the input; 0: any", bounds=(0, 8192))
    width: int = option(0, "width of the input; 0: any", bounds=(0, 8192))
    multiple: int = option(1, "number of which the sides of the input must be multiples", bounds=(1, 1024))
    sees_whole: bool = option(False, "each output pixel depends on the whole input")
    opaque: float | None = option(None, "value of full opacity, if the input has a fourth channel")
    picture_input: int = option(0, "index of the picture among the inputs, from 0", bounds=(0, 1))
    looks: int = option(0, "number of looks, each a vector for the style input; 0: none", bounds=(0, MAX_LOOKS))
    style_shape: tuple[int, ...] = option((), "shape of the style input, a vector", bounds=(1, MAX_STYLE_LENGTH))
    style_kind: str = option("float32", "data type of the style input", choices=STYLE_DTYPES)
    output: int = option(0, "index of the picture among the outputs, from 0", bounds=(0, 1000))
    out_layout: str = option("nchw", "axis order of the output", choices=OUT_LAYOUTS)
    enlarges: int = option(1, "factor by which the output is larger than the input", bounds=(1, 16))
    shrinks: int = option(1, "factor by which the output is smaller than the input", bounds=(1, 16))

    def __post_init__(self) -> None:
        if (self.height == 0) != (self.width == 0):
            raise ValueError("generator.height and width must both be 0 or both be above 0")
        if self.height and self.multiple > 1:
            raise ValueError("generator.multiple applies only if height and width are 0")
        if (self.looks == 0) != (not self.style_shape) or math.prod(self.style_shape) > MAX_STYLE_LENGTH:
            raise ValueError("generator.looks and style_shape do not fit together")


class OnnxGraph(nn.Module):
    """An ONNX graph for pictures of any size, or of ``fixed_size`` (height, width). ``data``: the file's bytes, uint8.

    The input of an enlarging graph is shrunk first, and the output of a shrinking graph is enlarged. A graph with
    styles has a second input, a style vector. ``styles`` holds the style vectors, (looks, numbers) float32, and
    ``weighted_looks`` is the number of styles if they can be mixed, else 0.
    """

    Settings = OnnxGraphSettings
    smallest = 1
    needs_fp32: ClassVar[bool] = True
    runs_itself: ClassVar[bool] = True

    def __init__(self, in_channels: int, out_channels: int, settings: OnnxGraphSettings) -> None:
        super().__init__()
        self.settings = settings
        factor = settings.enlarges
        self.multiple = settings.multiple * factor
        self.fixed_size = (settings.height * factor, settings.width * factor) if settings.height else None
        self.sees_whole = settings.sees_whole
        self.register_buffer("data", torch.zeros(settings.bytes, dtype=torch.uint8))
        self.weighted_looks = settings.looks if settings.looks > 1 else 0
        if settings.looks:
            self.register_buffer("styles", torch.zeros(settings.looks, math.prod(settings.style_shape)))
        self._session: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy, without the session of ONNX Runtime: each copy creates its own session."""
        return self.__dict__ | {"_session": None}

    @property
    def identity(self) -> dict[str, str]:
        """Return the version of ONNX Runtime, which affects results, for cache keys. Raises UsageError."""
        return {"onnxruntime": _runtime().__version__}

    def forward(self, x: Tensor, shares: Tensor | None = None) -> Tensor:
        """(N, C, H, W) float32 in the graph's range, style weights ``shares`` (N, looks) → (N, c, h, w) float32.

        The weights add up to 1; None selects the first style. Raises ModelError if the graph fails.
        """
        pictures = [
            self._run(one, self._style(shares[n : n + 1] if shares is not None else None))
            for n, one in enumerate(x.to(torch.float32).split(1))
        ]
        return pictures[0] if len(pictures) == 1 else torch.cat(pictures)

    def _style(self, shares: Tensor | None) -> np.ndarray | None:
        """Return the style vector for style weights (1, looks) in the style input's shape; None without styles."""
        if not self.settings.looks:
            return None
        styles = self.get_buffer("styles")
        vector = styles[0] if shares is None else (shares.to(styles) @ styles)[0]
        return vector.cpu().numpy().astype(self.settings.style_kind).reshape(self.settings.style_shape)

    def _run(self, x: Tensor, style: np.ndarray | None) -> Tensor:
        """Run the graph on one picture, (1, C, H, W) → (1, c, H, W) float32."""
        settings = self.settings
        if settings.enlarges > 1:
            x = F.avg_pool2d(x, settings.enlarges)
        if settings.opaque is not None:
            x = torch.cat([x, torch.full_like(x[:, :1], settings.opaque)], dim=1)
        array = self._run_session(self._to_input(x), style)
        expected = tuple(side * settings.enlarges // settings.shrinks for side in x.shape[2:])
        if array.shape[2:] != expected:
            actual, sides = ("x".join(map(str, size[::-1])) for size in (array.shape[2:], expected))
            raise self._error(f"its output is {actual} pixels instead of {sides}", "import the model again")
        y = torch.from_numpy(array).to(x.device)
        if y.dtype != torch.float32:
            y = y.to(torch.float32)
        if settings.shrinks > 1:
            y = F.interpolate(y, scale_factor=settings.shrinks, mode="bilinear", align_corners=False)
        return y

    def _to_input(self, x: Tensor) -> np.ndarray:
        """Return a picture (1, C, H, W) as an array with the axis order, batch size and dtype of the graph's input."""
        settings = self.settings
        x = x.permute(0, 2, 3, 1) if settings.layout.endswith("c") else x
        x = x if settings.layout.startswith("n") else x[0]
        if settings.pictures > 1:
            x = x.expand(settings.pictures, -1, -1, -1)
        if settings.kind == "uint8":
            x = x.round().clamp(0, 255).to(torch.uint8)
        elif settings.kind == "float16":
            x = x.to(torch.float16)
        return np.ascontiguousarray(x.detach().cpu().numpy())

    def _run_session(self, network_input: np.ndarray, style: np.ndarray | None) -> np.ndarray:
        """Run the graph on a picture and a style; return the first picture of the chosen output, (1, c, h, w)."""
        session = self._session or self._start()
        try:
            names, position = [each.name for each in session.get_inputs()], self.settings.picture_input
            feeds = {names[position]: network_input} | ({names[1 - position]: style} if style is not None else {})
            (output,) = session.run([session.get_outputs()[self.settings.output].name], feeds)
        except Exception as error:  # ONNX Runtime has a dozen exception classes
            if is_out_of_memory(error):
                raise
            sides = "x".join(map(str, network_input.shape))
            raise self._error(f"it cannot run on {sides}: {first_line(error)}", "use another size") from None
        layout = self.settings.out_layout
        if not isinstance(output, np.ndarray) or output.ndim != len(layout):
            raise self._error(f"its output does not have the recorded layout '{layout}'", "import the model again")
        output = output[:1] if layout.startswith("n") else output[None]
        if "c" not in layout:
            output = output[:, None]
        picture: np.ndarray = output.transpose(0, 3, 1, 2) if layout.endswith("c") else output
        return picture

    def _start(self) -> Any:  # noqa: ANN401  (of a library that may be absent)
        """Create a session of ONNX Runtime, on CUDA if possible. Raises ModelError, UsageError."""
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        data = self.get_buffer("data")
        providers: list[Any] = ["CPUExecutionProvider"]
        if data.device.type == "cuda" and "CUDAExecutionProvider" in runtime.get_available_providers():
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": data.device.index or 0}))
        try:
            self._session = runtime.InferenceSession(data.cpu().numpy().tobytes(), options, providers=providers)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise self._error(f"ONNX Runtime refuses it: {first_line(error)}", "import the model again") from None
        return self._session

    def _error(self, why: str, remedy: str) -> ModelError:
        """Return an error about the model's ONNX graph."""
        return ModelError("the model's ONNX graph", why, remedy)


def _runtime() -> Any:  # noqa: ANN401  (a module that may be absent)
    """Return the module onnxruntime. Raises UsageError if it is not installed."""
    try:
        return import_onnx_runtime()
    except ImportError:
        why, remedy = "it is an ONNX graph, and ONNX Runtime is not installed", "pip install 'vidtrans[onnx]'"
        raise UsageError("the model", why, remedy) from None
