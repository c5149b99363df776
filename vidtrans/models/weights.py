"""Weights of a model file: load them into the generator that its record describes, and check them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.core.errors import MAX_QUOTED, ModelError, UsageError, first_line
from vidtrans.core.files import PACKAGE
from vidtrans.models.formats import FORMATS
from vidtrans.models.model_record import ModelRecord
from vidtrans.networks import ONNX_GRAPH
from vidtrans.pairing.pairing_records import make_pairing

# Of looks at once; in a folder, because files in assets/ are models that have a name.
STYLE_PREDICTION = PACKAGE / "assets" / "networks" / "style-prediction.safetensors"
WEIGHT, STEP = ".weight", ".step"  # ends of the names of weights, and of the steps of those that are stored in 8 bits


def weights_of(generator: Any) -> dict[str, Any]:  # noqa: ANN401  (no torch here)
    """Return a generator's weights as contiguous tensors on the CPU, by name."""
    return {k: v.detach().to("cpu").contiguous() for k, v in generator.state_dict().items()}


def weights_digest(weights: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) over the names and bytes of all tensors, the ``weights`` field of a record."""
    whole = hashlib.sha256()
    for name in sorted(weights):
        whole.update(name.encode() + b"\0")
        whole.update(np.ascontiguousarray(weights[name].numpy()).reshape(-1).view(np.uint8).data)
    return whole.hexdigest()


def build_with_weights(
    path: Path, record: ModelRecord, read: Callable[[Path], Mapping[str, Any]], *, foreign: bool = False
) -> Any:  # noqa: ANN401  (no torch here)
    """Build the generator of a record and load the weights that ``read(path)`` returns (CPU tensors by name).

    ``foreign``: the file is another tool's, and has no digest of its weights. Raises ModelError if the weights do not
    fit the generator, differ from the recorded digest or are not finite; ``read`` may raise OSError and ValueError.
    """
    import torch

    from vidtrans.networks.init import build_generator

    generator, plate, memory = record.generator, record.plate_size, bool(record.memory)
    channels = record.in_channels, record.out_channels
    classes = make_pairing(record.pairing["name"], record.pairing["settings"]).class_colours
    try:
        with torch.device("meta"):
            built = build_generator(
                generator["name"],
                generator["settings"],
                *channels,
                plate,
                memory,
                record.ports,
                record.code_size,
                classes.table if classes else None,
            )
        weights = read(path)
        values = weights if foreign else from_8_bits(weights)
        built.load_state_dict(_of_kinds(values, built.state_dict()), assign=True)
    except (UsageError, RuntimeError, OSError, ValueError, TypeError, OverflowError) as error:
        why = f"its weights do not fit its architecture ({first_line(error)})"
        raise ModelError(str(path), why, "train or copy it again") from None
    _check_values(path, values, None if foreign else record.weights, weights)
    if generator["name"] == ONNX_GRAPH:
        # A stranger may have written a model file around a graph: check the bytes that will run as in a file of theirs.
        data = next(tensor for name, tensor in weights.items() if name.endswith("data"))
        FORMATS.load("onnx").check_bytes(path, data.numpy().tobytes(), record.in_channels + record.code_size)
    return built


def _check_values(path: Path, weights: Mapping[str, Any], saved: str | None, stored: Mapping[str, Any]) -> None:
    """Raise ModelError for weights that are not finite, or if the digest of ``stored`` is not ``saved`` (None: any)."""
    with ThreadPoolExecutor(1, "vidtrans-digest") as beside:
        digest = beside.submit(weights_digest, stored) if saved is not None else None
        floats = {k: v for k, v in weights.items() if v.is_floating_point() and v.numel()}
        # Extremes show in a tenth of the time whether all values are finite.
        bad = [name for name, tensor in floats.items() if name.endswith("running_var") and tensor.amin() < 0]
        bad += [name for name, tensor in floats.items() if not all(map(math.isfinite, tensor.aminmax()))]
    if digest is not None and digest.result() != saved:
        raise ModelError(str(path), "its weights are damaged (their digest differs from the record)", "copy it again")
    if bad:
        raise ModelError(str(path), f"'{bad[0]}' holds values that are not finite or out of range", "train it again")


def to_8_bits(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights in less space: those of convolutions as int8 with a step for each channel, the others in 16 bits.

    ``NAME.weight`` (C, …) is stored as ``round(weight / step)``, int8, beside ``NAME.step`` (C,), float16.
    """
    stored: dict[str, Any] = {}
    for name, tensor in weights.items():
        if not (tensor.is_floating_point() and tensor.ndim > 1 and name.endswith(WEIGHT)):
            stored[name] = tensor.half() if tensor.is_floating_point() else tensor
            continue
        values = tensor.float()
        largest = values.abs().flatten(1).amax(1)
        step = (largest / 127).clamp_min(2.0**-24).half()  # the smallest float16 above 0
        stored[name] = (values / _per_channel(step, values)).round().clamp(-127, 127).char()
        stored[name.removesuffix(WEIGHT) + STEP] = step
    return stored


def from_8_bits(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights without steps: those that ``to_8_bits`` stored as int8 in float32, the others as they are.

    Raises ValueError where a step does not fit its weights.
    """
    import torch

    weights = dict(stored)
    for name, step in stored.items():
        weight = stored.get(name.removesuffix(STEP) + WEIGHT)
        if not name.endswith(STEP) or weight is None or weight.dtype != torch.int8:
            continue
        del weights[name]
        if step.dtype not in (torch.float16, torch.float32) or step.shape != weight.shape[:1]:
            raise ValueError(f"'{name[:MAX_QUOTED]}' does not fit its weights")
        weights[name.removesuffix(STEP) + WEIGHT] = weight.float() * _per_channel(step.float(), weight)
    return weights


def _per_channel(step: Any, weight: Any) -> Any:  # noqa: ANN401  (no torch here)
    """Return steps (C,) in a shape that multiplies weights (C, …)."""
    return step.view(-1, *[1] * (weight.ndim - 1))


def _of_kinds(weights: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights with the generator's dtypes; float16 becomes float32. Raises ValueError if others differ."""
    import torch

    found = {}
    for name, tensor in weights.items():
        kind = wanted[name].dtype if name in wanted else tensor.dtype
        if tensor.dtype != kind and (tensor.dtype, kind) != (torch.float16, torch.float32):
            raise ValueError(f"'{name[:MAX_QUOTED]}' holds {tensor.dtype}, it needs {kind}")
        found[name] = tensor.to(kind)
    return found
