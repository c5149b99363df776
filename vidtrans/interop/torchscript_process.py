"""The process that converts a trusted TorchScript program to ONNX by running it, with limits on memory and time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from vidtrans.core.errors import first_line
from vidtrans.core.machine import import_onnx_runtime
from vidtrans.interop.onnx.trial import TrialError, answering, limit_process, trial_picture

SIZES = ((256, 512), (256, 256), (512, 512), (224, 224), (128, 128))  # (height, width); fixed sizes are often square
CHANNELS = (3, 1, 4)
OPSET = 17
EXPORTED_SIZES, EXPORTED_LARGER = ((64, 96),), 33  # An exported program takes any size.
LARGER = 256  # The pixels added to each side to test whether the graph takes other sizes.
APART = 1e-3  # The largest difference of graph and program, as a share of the output's standard deviation.
# The share of values that may differ by more, where a pairing rounds its lines; see ``exporting.graphs``.
MOST_OFF = 0.01


class ConversionError(TrialError):
    """The program cannot be converted; the message gives the reason."""


def main() -> None:
    """Convert the program of a request; the answer has an error, or is empty."""
    with answering() as (request, _):
        limit_process(request["memory"], 8 * request["seconds"], writes=True)
        convert(request["path"], request["target"], request["channels"], exported=request["exported"])


def convert(path: str, target: str, channels: int = 0, *, exported: bool = False) -> None:
    """Convert the program in file ``path`` to the ONNX file ``target`` and compare them. Raises ConversionError.

    ``exported``: 'vidtrans model export' wrote the program; ``channels``: of its input, if it is the network alone,
    whose graph then takes and gives colours in [-1, 1]. 0: found by trying.
    """
    import torch

    try:
        program: Any = torch.jit.load(path, map_location="cpu").eval().float()
    except Exception as error:  # torch raises whatever its reader does
        raise ConversionError(f"torch cannot load it ({first_line(error)})") from None
    if channels:
        program = _symmetric(program)
    with suppress(Exception):  # best effort: removes what only training needs
        program = torch.jit.freeze(program)
    tried, larger = (EXPORTED_SIZES, EXPORTED_LARGER) if exported else (SIZES, LARGER)
    picture = _example(program, (channels,) if channels else CHANNELS, tried)
    sizes = {0: "batch", 2: "height", 3: "width"}
    reason = ""
    for free in ({"input": sizes, "output": sizes}, {}):
        try:
            _export(program, picture, target, free)
            if exported:
                _limit_loops(target)
            share = MOST_OFF if exported else 0.0
            _compare(program, target, picture, share)
            if free:
                _compare(program, target, _picture(picture.shape[1], *(n + larger for n in picture.shape[2:])), share)
        except ConversionError as error:
            reason = reason or str(error)
            continue
        return
    raise ConversionError(reason)


def _picture(channels: int, height: int, width: int) -> Any:  # noqa: ANN401  (a tensor)
    import torch

    picture = trial_picture(height, width, 0)
    planes = np.concatenate([picture, np.ones_like(picture[..., :1])], axis=2)
    planes = np.tile(planes, -(-channels // planes.shape[2]))[..., :channels]
    return torch.from_numpy(planes.transpose(2, 0, 1)[None]).float()


def _first(output: Any) -> Any:  # noqa: ANN401  (of a program)
    """Return the output picture: the output itself, or the first item of a tuple or list."""
    import torch

    found = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(found, torch.Tensor):
        raise ConversionError(f"it returns {type(found).__name__}, not a tensor")
    return found


def _symmetric(program: Any) -> Any:  # noqa: ANN401  (modules)
    """Return a module that takes and gives colours in [-1, 1], of a program for those in [0, 1]."""
    import torch

    class Symmetric(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.program = program

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.program((x + 1) / 2)
            return made * 2 - 1

    return torch.jit.script(Symmetric()).eval()


def _limit_loops(target: str) -> None:
    """Give the loops of an exported pairing, which follow lines, a number of rounds that can be read in the file."""
    import onnx

    from vidtrans.interop.exporting.onnx_file import limit_loops

    model = onnx.load(target)
    limit_loops(model.graph)
    onnx.save(model, target)


def _example(program: Any, numbers: Sequence[int], sizes: Sequence[tuple[int, int]]) -> Any:  # noqa: ANN401
    """Return a picture that the program accepts, (1, C, H, W), of one of the numbers of channels and ``sizes``.

    Raises ConversionError.
    """
    import torch

    reason = ""
    for channels in numbers:
        for size in sizes:
            picture = _picture(channels, *size)
            try:
                with torch.no_grad():
                    _first(program(picture))
            except RuntimeError as error:
                reason = reason or first_line(error)
                continue
            return picture
    raise ConversionError(f"it takes no picture of {', '.join(map(str, numbers))} channels ({reason})")


def _export(program: Any, picture: Any, target: str, free: dict[str, dict[int, str]]) -> None:  # noqa: ANN401
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, that this exporter is the old one; it needs only the package onnx
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


def _compare(program: Any, target: str, picture: Any, most_off: float) -> None:  # noqa: ANN401  (module, tensor)
    """Raise ConversionError if the graph does not run, or more than a share ``most_off`` of its output differs."""
    import torch

    onnxruntime = import_onnx_runtime()

    with torch.no_grad():
        wanted = _first(program(picture)).numpy()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(target, options, providers=["CPUExecutionProvider"])
        made = session.run(None, {session.get_inputs()[0].name: picture.numpy()})[0]
    except Exception as error:  # ONNX Runtime has a dozen classes
        raise ConversionError(first_line(error)) from None
    limit = APART * max(float(wanted.std()), 1e-6)
    if made.shape != wanted.shape or not (np.abs(made - wanted) > limit).mean() <= most_off:
        raise ConversionError("the output of the ONNX graph differs from the program's")
