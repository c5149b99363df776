"""The process that converts a trusted TorchScript program to ONNX by running it, with limits on memory and time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from vidtrans.core.child_process import limit_resources
from vidtrans.core.errors import first_line
from vidtrans.core.machine import import_onnx_runtime
from vidtrans.interop.onnx.trial import TrialError, answer_request, trial_picture

# Picture sizes (height, width) in pixels to try; fixed sizes are often square.
SIZES = ((256, 512), (256, 256), (512, 512), (224, 224), (128, 128))
CHANNEL_COUNTS = (3, 1, 4)  # Numbers of input channels to try.
OPSET = 17  # Version of the ONNX operator set of the converted file.
# Size (height, width) to try, and pixels to add as by ``EXTRA_PX``, for programs of 'vidtrans model export'.
EXPORTED_SIZES, EXPORTED_EXTRA_PX = ((64, 96),), 33
EXTRA_PX = 256  # Pixels added to each side to test whether the graph accepts other sizes.
# Largest difference between the outputs of graph and program, as a share of the output's standard deviation.
MAX_DIFFERENCE = 1e-3
# Largest share of output values with a larger difference, caused by rounding; see ``exporting.graphs``.
MAX_DIFFERENT_SHARE = 0.01


class ConversionError(TrialError):
    """The program cannot be converted; the message is the reason."""


def main() -> None:
    """Convert the program named in a request; the answer contains an error, or is empty."""
    with answer_request() as (request, _):
        limit_resources(request["memory"], 8 * request["seconds"])
        convert(request["path"], request["target"], request["channels"], exported=request["exported"])


def convert(path: str, target: str, channels: int = 0, *, exported: bool = False) -> None:
    """Convert program ``path`` to the ONNX file ``target``; ``exported``: 'vidtrans model export' wrote the program.

    The outputs of program and graph are compared. ``channels``: number of input channels of an exported network without
    pairing, whose graph then has colours in [−1, 1]; 0 for any other program. Raises ConversionError.
    """
    import torch

    try:
        program: Any = torch.jit.load(path, map_location="cpu").eval().float()
    except Exception as error:  # The exception class depends on torch's file reader
        raise ConversionError(f"torch cannot load it ({first_line(error)})") from None
    if channels:
        program = _symmetric(program)
    with suppress(Exception):  # Best effort: remove the operators that only training needs
        program = torch.jit.freeze(program)
    sizes_to_try, extra_px = (EXPORTED_SIZES, EXPORTED_EXTRA_PX) if exported else (SIZES, EXTRA_PX)
    picture = _example(program, (channels,) if channels else CHANNEL_COUNTS, sizes_to_try)
    sizes = {0: "batch", 2: "height", 3: "width"}
    reason = ""
    for free in ({"input": sizes, "output": sizes}, {}):
        try:
            _export(program, picture, target, free)
            if exported:
                _limit_loops(target)
            share = MAX_DIFFERENT_SHARE if exported else 0.0
            _compare(program, target, picture, share)
            if free:
                _compare(program, target, _picture(picture.shape[1], *(n + extra_px for n in picture.shape[2:])), share)
        except ConversionError as error:
            reason = reason or str(error)
            continue
        return
    raise ConversionError(reason)


def _picture(channels: int, height: int, width: int) -> Any:  # noqa: ANN401  (a tensor)
    """Return a synthetic picture in [0, 1] as a tensor (1, channels, height, width)."""
    import torch

    picture = trial_picture(height, width, 0)
    planes = np.concatenate([picture, np.ones_like(picture[..., :1])], axis=2)
    planes = np.tile(planes, -(-channels // planes.shape[2]))[..., :channels]
    return torch.from_numpy(planes.transpose(2, 0, 1)[None]).float()


def _first_tensor(output: Any) -> Any:  # noqa: ANN401  (of a program)
    """Return the output picture: the output itself, or the first item of a tuple or list."""
    import torch

    tensor = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(tensor, torch.Tensor):
        raise ConversionError(f"it returns {type(tensor).__name__}, not a tensor")
    return tensor


def _symmetric(program: Any) -> Any:  # noqa: ANN401  (modules)
    """Return a module for colours in [−1, 1] that converts them for a program whose colours are in [0, 1]."""
    import torch

    class Symmetric(torch.nn.Module):
        """A program for colours in [0, 1], with input and output converted from and to [−1, 1]."""

        def __init__(self) -> None:
            super().__init__()
            self.program = program

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """Convert ``x`` in [−1, 1] to [0, 1], run the program, and convert its output back."""
            output: torch.Tensor = self.program((x + 1) / 2)
            return output * 2 - 1

    return torch.jit.script(Symmetric()).eval()


def _limit_loops(target: str) -> None:
    """Set a constant limit for each loop in the ONNX file ``target``, as ``exporting.onnx_file.limit_loops`` does."""
    import onnx

    from vidtrans.interop.exporting.onnx_file import limit_loops

    model = onnx.load(target)
    limit_loops(model.graph)
    onnx.save(model, target)


def _example(program: Any, channel_counts: Sequence[int], sizes: Sequence[tuple[int, int]]) -> Any:  # noqa: ANN401
    """Return a picture (1, C, H, W) that the program accepts, with one of ``channel_counts`` and of ``sizes``.

    Raises ConversionError.
    """
    import torch

    reason = ""
    for channels in channel_counts:
        for size in sizes:
            picture = _picture(channels, *size)
            try:
                with torch.no_grad():
                    _first_tensor(program(picture))
            except RuntimeError as error:
                reason = reason or first_line(error)
                continue
            return picture
    raise ConversionError(f"it takes no picture of {', '.join(map(str, channel_counts))} channels ({reason})")


def _export(program: Any, picture: Any, target: str, free: dict[str, dict[int, str]]) -> None:  # noqa: ANN401
    """Write a program as an ONNX file; ``free``: the axes of free length. Raises ConversionError."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # This exporter is deprecated, but needs only the package onnx
        try:
            torch.onnx.export(
                program,
                (picture,),
                target,
                input_names=["input"],
                output_names=["output"],
                opset_version=OPSET,
                dynamic_axes=free,
                dynamo=False,
            )
        except Exception as error:
            raise ConversionError(first_line(error)) from None


def _compare(program: Any, target: str, picture: Any, max_share: float) -> None:  # noqa: ANN401  (module, tensor)
    """Run the program and the ONNX file ``target`` on a picture (1, C, H, W), and compare their outputs.

    Raise ConversionError if the graph does not run, or if more than ``max_share`` (0 to 1) of the values differ.
    """
    import torch

    onnxruntime = import_onnx_runtime()

    with torch.no_grad():
        expected = _first_tensor(program(picture)).numpy()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(target, options, providers=["CPUExecutionProvider"])
        output = session.run(None, {session.get_inputs()[0].name: picture.numpy()})[0]
    except Exception as error:  # ONNX Runtime has a dozen exception classes
        raise ConversionError(first_line(error)) from None
    limit = MAX_DIFFERENCE * max(float(expected.std()), 1e-6)
    if output.shape != expected.shape or not (np.abs(output - expected) > limit).mean() <= max_share:
        raise ConversionError("the output of the ONNX graph differs from the program's")
