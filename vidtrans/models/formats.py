"""Model formats: each recognises one kind of model file by its content, reads the file and, if supported, writes it.

A format is a subclass of ``ModelFormat``. A format of another tool is a subclass of ``ForeignFormat``, which describes
a file before its record is made. The first format that detects a file reads it. The weights are loaded into the
generator that the record describes, and checked.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vidtrans.core.costs import count
from vidtrans.core.errors import MAX_QUOTED_CHARS, ModelError, UsageError, first_line
from vidtrans.core.files import PACKAGE, check_regular_file
from vidtrans.core.registry import Entry, Registry
from vidtrans.core.settings import Table, from_table, to_table
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.networks import ONNX_GRAPH
from vidtrans.networks.ports import MAX_PICTURE_CHANNELS, PortSettings
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.pairing_records import make_pairing, pairing_record
from vidtrans.video.io.picture_paths import is_picture

NATIVE = "vidtrans"  # Name of vidtrans's own model format
# Model formats by name, in the order in which they are tried
FORMATS = Registry(
    "model format",
    {
        NATIVE: Entry("vidtrans.models.native_format:NativeFormat", ".safetensors, a model of 'vidtrans train'"),
        "cube": Entry("vidtrans.interop.cube:CubeFormat", ".cube, a table of colours for grading"),
        "checkpoint": Entry(
            "vidtrans.interop.checkpoint_format:CheckpointFormat",
            ".pth, PyTorch checkpoints of pix2pix, CycleGAN, CUT, pix2pixHD …",
        ),
        "torchscript": Entry(
            "vidtrans.interop.torchscript:TorchScriptFormat", "TorchScript, a program that needs --trust for the import"
        ),
        "onnx": Entry(
            "vidtrans.interop.onnx.onnx_format:OnnxFormat",
            ".onnx, a network from pictures to pictures, with one look or several",
        ),
    },
    group="model_formats",
)
# File of the style predictor's weights, in a subfolder because every file directly in assets/ is a named model.
STYLE_PREDICTION = PACKAGE / "assets" / "networks" / "style-prediction.safetensors"
# Name suffixes of weight tensors, and of the quantisation steps of int8 weights
WEIGHT_SUFFIX, STEP_SUFFIX = (".weight", ".step")


class ModelFormat:
    """A model format. Importing its module does not import torch, and code in a file is never run."""

    suffixes: ClassVar[tuple[str, ...]]  # File suffixes that are appended to a model name without suffix

    def detect(self, path: Path) -> bool:
        """Return whether a file's first bytes are those of this format; the rest may be damaged. Raises OSError."""
        raise NotImplementedError

    def files(self, path: Path) -> list[Path]:
        """Return the path of a model file, followed by the paths of the auxiliary files that it needs."""
        return [path]

    def read_record(self, path: Path) -> ModelRecord:
        """Return the checked record of a model file without reading its weights. Raises ModelError."""
        raise NotImplementedError

    def load(self, path: Path) -> tuple[Any, ModelRecord]:
        """Return the generator of a model file, a torch module on the CPU, and its record. Raises ModelError."""
        raise NotImplementedError

    def load_extractor(self, path: Path) -> tuple[Any, ModelRecord]:
        """Return the generator and the record of the embedded extractor, the network that makes the model's input.

        Raises ModelError.
        """
        why = "files of this format embed no network that makes the model's input"
        raise ModelError(str(path), why, "use a .safetensors file that 'vidtrans train --embed' wrote")

    def save(self, path: Path, generator: Any, record: ModelRecord) -> None:  # noqa: ANN401  (no torch here)
        """Write a model file atomically; equal models give equal bytes. Raises UsageError for a read-only format."""
        raise UsageError(str(path), "vidtrans cannot write files of this format", "choose another format")


def detect_format(path: Path) -> str:
    """Return the name of a model file's format. Raises ModelError if the format is unknown or the file unreadable."""
    check_regular_file(path, ModelError)
    try:
        with path.open("rb"):
            found = next((name for name, kind in _formats() if kind.detect(path)), "")
    except OSError as error:
        raise ModelError(str(path), str(error.strerror).lower(), "give a model file that can be read") from None
    if found:
        return found
    if is_picture(path):
        raise ModelError(str(path), "it is a picture, not a model", f"paint in its style with --look {path}")
    why = "it is not a model file of a known format, or it is cut off"
    raise ModelError(str(path), why, "copy it again, or see which are known: vidtrans model formats")


def load_format(name: str) -> ModelFormat:
    """Return the model format of this name."""
    return FORMATS.load(name)()


def model_suffixes() -> list[str]:
    """Return the suffixes of model files ('.safetensors', …), plug-ins included, in the order of a search by name."""
    return list(dict.fromkeys(suffix for _, kind in _formats() for suffix in kind.suffixes))


def _formats() -> Iterator[tuple[str, ModelFormat]]:
    """Yield each model format with its name, built-in formats first; skip plug-ins that cannot be imported."""
    return ((name, cls()) for name, cls in FORMATS.loaded())


def cpu_weights(generator: Any) -> dict[str, Any]:  # noqa: ANN401  (no torch here)
    """Return a generator's weights as contiguous tensors on the CPU, by name."""
    return {k: v.detach().to("cpu").contiguous() for k, v in generator.state_dict().items()}


def weights_digest(weights: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) over the names and bytes of all tensors, for the field ``weights`` of a record."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + b"\0")
        digest.update(np.ascontiguousarray(weights[name].numpy()).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def build_with_weights(
    path: Path, record: ModelRecord, read: Callable[[Path], Mapping[str, Any]], *, foreign: bool = False
) -> Any:  # noqa: ANN401  (no torch here)
    """Build the generator of a record with the weights of ``read(path)``; ``foreign``: another tool wrote the file.

    The weights are CPU tensors by name. A foreign file has no digest of its weights. Raises ModelError if the weights
    do not fit the generator, differ from the recorded digest or are not finite; ``read`` may raise OSError and
    ValueError.
    """
    import torch

    from vidtrans.networks.init import build_generator

    generator, memory = record.generator, bool(record.memory)
    plate = (record.plate["size"][0], record.plate["size"][1]) if record.plate else None
    classes = make_pairing(record.pairing["name"], record.pairing["settings"]).class_colours
    try:
        with torch.device("meta"):
            built = build_generator(
                *(generator["name"], generator["settings"], record.in_channels, record.out_channels, plate, memory),
                *(record.ports, record.code_size, classes.table if classes else None),
            )
        weights = read(path)
        values = weights if foreign else from_8_bits(weights)
        built.load_state_dict(_with_dtypes(values, built.state_dict()), assign=True)
    except (UsageError, RuntimeError, OSError, ValueError, TypeError, OverflowError) as error:
        why = f"its weights do not fit its architecture ({first_line(error)})"
        raise ModelError(str(path), why, "train or copy it again") from None
    _check_weights(path, values, None if foreign else record.weights, weights)
    if generator["name"] == ONNX_GRAPH:
        # The ONNX graph in a model file is untrusted, too: check its bytes like those of an imported ONNX file.
        data = next(tensor for name, tensor in weights.items() if name.endswith("data"))
        FORMATS.load("onnx").check_bytes(path, data.numpy().tobytes(), record.in_channels + record.code_size)
    return built


def _check_weights(path: Path, weights: Mapping[str, Any], saved: str | None, stored: Mapping[str, Any]) -> None:
    """Raise ModelError if ``weights`` are not finite, or the digest of the ``stored`` weights is not ``saved``.

    ``saved``: the digest in the record (hex), None to skip the comparison. ``stored``: the weights as they are in the
    file, perhaps in 8 bits.
    """
    with ThreadPoolExecutor(1, "vidtrans-digest") as executor:
        digest = executor.submit(weights_digest, stored) if saved is not None else None
        floats = {k: v for k, v in weights.items() if v.is_floating_point() and v.numel()}
        # Variances must not be negative. The minimum takes a tenth of the time of comparing all values.
        bad = [name for name, tensor in floats.items() if name.endswith("running_var") and tensor.amin() < 0]
        bad += [name for name, tensor in floats.items() if not all(map(math.isfinite, tensor.aminmax()))]
    if digest is not None and digest.result() != saved:
        raise ModelError(str(path), "its weights are damaged (their digest differs from the record)", "copy it again")
    if bad:
        raise ModelError(str(path), f"'{bad[0]}' holds values that are not finite or out of range", "train it again")


def to_8_bits(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights in 8 bits: int8 with a quantisation step per output channel for convolutions, float16 for others.

    ``NAME.weight`` (C, …) is stored as ``round(weight / step)``, int8, together with ``NAME.step`` (C,), float16.
    """
    stored: dict[str, Any] = {}
    for name, tensor in weights.items():
        if not (tensor.is_floating_point() and tensor.ndim > 1 and name.endswith(WEIGHT_SUFFIX)):
            stored[name] = tensor.half() if tensor.is_floating_point() else tensor
            continue
        values = tensor.float()
        largest = values.abs().flatten(1).amax(1)
        step = (largest / 127).clamp_min(2.0**-24).half()  # 2^-24 is the smallest positive float16
        stored[name] = (values / _per_channel(step, values)).round().clamp(-127, 127).char()
        stored[name.removesuffix(WEIGHT_SUFFIX) + STEP_SUFFIX] = step
    return stored


def from_8_bits(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights that ``to_8_bits`` stored, in float32 and without steps; other tensors are unchanged.

    Raises ValueError if the shape of a step does not fit the weights.
    """
    import torch

    weights = dict(stored)
    for name, step in stored.items():
        weight = stored.get(name.removesuffix(STEP_SUFFIX) + WEIGHT_SUFFIX)
        if not name.endswith(STEP_SUFFIX) or weight is None or weight.dtype != torch.int8:
            continue
        del weights[name]
        if step.dtype not in (torch.float16, torch.float32) or step.shape != weight.shape[:1]:
            raise ValueError(f"'{name[:MAX_QUOTED_CHARS]}' does not fit its weights")
        weights[name.removesuffix(STEP_SUFFIX) + WEIGHT_SUFFIX] = weight.float() * _per_channel(step.float(), weight)
    return weights


def _per_channel(step: Any, weight: Any) -> Any:  # noqa: ANN401  (no torch here)
    """Return the steps of output channels (C,), reshaped to broadcast with weights (C, …)."""
    return step.view(-1, *[1] * (weight.ndim - 1))


def _with_dtypes(weights: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights in the dtypes of ``expected``, float16 as float32. Raises ValueError for other differences."""
    import torch

    converted = {}
    for name, tensor in weights.items():
        kind = expected[name].dtype if name in expected else tensor.dtype
        if tensor.dtype != kind and (tensor.dtype, kind) != (torch.float16, torch.float32):
            raise ValueError(f"'{name[:MAX_QUOTED_CHARS]}' holds {tensor.dtype}, it needs {kind}")
        converted[name] = tensor.to(kind)
    return converted


@dataclass(frozen=True)
class Hints:
    """Facts about a model file that the user supplies because the file does not contain them."""

    # Value range of the network's input and output, a name in ``networks.ports.RANGES``; '' to detect the range
    range: str = ""
    layout: str = ""  # Axis order of the input, 'nchw' or 'nhwc'; '' to detect the order
    trust: bool = False  # Whether a program in the file may run once, to be converted to ONNX
    predictor: Path | None = None  # File of the network that predicts a picture's style vector
    styles: tuple[tuple[str, Path], ...] = ()  # Names of styles with their pictures


NO_HINTS = Hints()  # Hints of a user who supplies no facts


@dataclass(frozen=True)
class ForeignModel:
    """The contents of another tool's model file, before the user has chosen the pairing, which makes the input."""

    family: str  # Kind of network, as listed by ``vidtrans model formats``
    generator: Table  # The generator's ``name`` in ``networks`` and its complete ``settings``
    ports: Table  # Settings of ``PortSettings`` that differ from the defaults
    size: int  # Default short side of renders, in pixels
    # Name and settings of the family's pairing; empty if the user must choose one.
    pairing: Table = field(default_factory=dict)
    card: Table = field(default_factory=dict)  # Author and licence, if the file states them
    origin: Table = field(default_factory=dict)  # Facts that a later export needs, without the ``family``
    notes: tuple[str, ...] = ()  # Messages for the person who imports the file
    dark_lines: bool = False  # Whether training drawings had dark lines on white instead of light on black
    styles: tuple[tuple[float, ...], ...] = ()  # Style vectors, for a network with a style input
    record_tables: Table = field(default_factory=dict)  # Further tables of the record of an exported model

    def record(self, path: Path, pairing: Pairing | None = None) -> ModelRecord:
        """Return the model's record with ``pairing``, by default the pairing of the model's family.

        Raises UsageError if there is no pairing, ModelError if the network takes another number of channels.
        """
        if pairing is None and not self.pairing:
            why = f"it is a {self.family}, and its file does not say what its input is made of"
            words = "NAME ('edges', 'none' for the frame itself …)"
            if (channels := self.ports.get("in_channels", 3)) > MAX_PICTURE_CHANNELS:
                words = _label_options(channels)
            raise UsageError(str(path), why, f"vidtrans model import {path} --pairing {words}")
        resolved = pairing or make_pairing(self.pairing["name"], self.pairing["settings"])
        ports = from_table(PortSettings, self.ports, "ports")
        if not ports.takes(resolved.in_channels):
            takes = count(ports.in_channels, "channel")
            why = f"its network takes {takes}, the pairing '{resolved.name}' makes {resolved.in_channels}"
            remedy = "choose another --pairing, or other settings of it"
            if resolved.name == "labels":
                remedy = f"--pairing {_label_options(ports.in_channels)}"
            if ports.conditions:
                why = f"it has {ports.conditions} looks, which are no part of the pairing '{resolved.name}' as given"
                remedy = f"leave --pairing out, or give {ports.conditions} names with --set pairing.looks=…"
            raise ModelError(str(path), why, remedy)
        pairing_table = pairing_record(resolved)
        return ModelRecord(
            generator=self.generator,
            pairing={"name": pairing_table["name"], "settings": pairing_table["settings"]},
            in_channels=resolved.in_channels,
            out_channels=3,
            size=self.size,
            normalisation=NORMALISATION,
            training={},
            card=self.card,
            ports={} if ports == PortSettings(in_channels=resolved.in_channels) else to_table(ports),
            origin={"family": self.family} | self.origin,
            **self.record_tables,
        )


def _label_options(channels: int) -> str:
    """Return the value of ``--pairing``, with options, for label maps with this number of channels."""
    borders = f"or {channels - 1} and --set pairing.boundaries=true, with borders of objects"
    return f"labels --set pairing.classes={channels} ({borders})"


class ForeignFormat(ModelFormat):
    """A model format of another tool, whose files may lack facts that only the user knows (``Hints``)."""

    uses_range: ClassVar[bool] = False  # Whether ``describe`` uses ``Hints.range`` for the network's input and output
    uses_predictor: ClassVar[bool] = False  # Whether ``describe`` uses ``Hints.predictor``

    def describe(self, path: Path, hints: Hints = NO_HINTS) -> ForeignModel:
        """Describe the network in a model file, without reading its weights or importing torch.

        Raises ModelError, and UsageError if the file is ambiguous and a hint is needed.
        """
        raise NotImplementedError

    def read_weights(self, path: Path, model: ForeignModel) -> dict[str, Any]:
        """Return a file's tensors, float32 on the CPU, by their names in vidtrans.

        Raises ModelError, OSError, ValueError.
        """
        raise NotImplementedError

    def read_record(self, path: Path) -> ModelRecord:
        """Return the record with the pairing of the model's family. Raises ModelError, UsageError."""
        return self.describe(path).record(path)

    def load(self, path: Path) -> tuple[Any, ModelRecord]:
        """Return the generator, for input and output in [−1, 1], and its record. Raises ModelError, UsageError."""
        return self.load_described(path, self.describe(path))

    def load_described(
        self, path: Path, model: ForeignModel, pairing: Pairing | None = None
    ) -> tuple[Any, ModelRecord]:
        """Return the generator and the record of a file that ``describe`` has read. Raises ModelError, UsageError."""
        record = model.record(path, pairing)

        def read(path: Path) -> dict[str, Any]:
            """Return the weights by the names that they have in the generator."""
            prefix = "network." if record.ports else ""
            return {prefix + name: tensor for name, tensor in self.read_weights(path, model).items()}

        return build_with_weights(path, record, read, foreign=True), record
