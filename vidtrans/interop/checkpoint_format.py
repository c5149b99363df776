"""The model format for PyTorch checkpoints of other tools: named tensors in a pickle or in a safetensors file.

A safetensors file begins with eight bytes that contain the length of its JSON header. The header lists the dtype, the
shape and the byte range of each tensor. The header is checked, and each tensor is read on demand.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.settings import Table
from vidtrans.interop.exported import ExportedModel, read_description
from vidtrans.interop.families import FAMILIES
from vidtrans.interop.families.base import Candidate, Family, Fit, constant_tensor, match_layout, swap_halves
from vidtrans.interop.torch_file import (
    ITEM_BYTES,
    Opaque,
    PickleError,
    StoredTensor,
    TorchFile,
    is_bare_pickle,
    is_torch_file,
    more_than_tensors,
    read_torch_file,
)
from vidtrans.models.formats import NO_HINTS, ForeignFormat, ForeignModel, Hints
from vidtrans.models.model_record import reject_repeated_keys
from vidtrans.models.native_format import NativeFormat

MAX_HEADER_BYTES = 4 << 20  # Largest size of a safetensors header in bytes, enough for tens of thousands of tensors.
MAX_TENSORS = 20_000  # Largest number of tensors in a safetensors file.
MAX_AXES = 8  # Largest number of axes of a tensor.
# Dtype names of torch by the dtype names in safetensors headers.
DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
Tensors = Mapping[str, StoredTensor]  # Stored tensors of a checkpoint, by tensor name.
# Keys under which checkpoints may hold the generator's state dict.
WRAPPER_KEYS = ("state_dict", "params_ema", "params", "netG", "net_G", "G", "g_ema", "generator", "model", "weights")
# Prefixes that training tools add to all tensor names; they are removed before names are compared.
PREFIXES = ("module.", "netG.", "net_G.", "generator.", "_orig_mod.")
MAX_PREFIXES = 4  # Largest number of nested ``PREFIXES`` that are removed from the tensor names.
# Largest ratio of tensor bytes to file bytes. It limits memory, because many tensors may share one storage.
MAX_SHARED_RATIO = 2
# Keys of an optimiser's state dict, which is refused because it holds no network.
OPTIMISER_KEYS = {"param_groups", "state"}
# Advice in errors about checkpoints that hold more than a generator's tensors.
SAVE_REMEDY = "save the generator's state_dict() alone"
# Names of the files in which training tools store their options next to a checkpoint, in order of precedence.
OPTION_FILES = ("train_opt.txt", "opt.txt", "test_opt.txt")
MAX_OPTION_BYTES = 1 << 20  # Largest size of an options file in bytes; larger files are ignored.
# Names of the training options that contain the picture size in pixels, in order of precedence.
SIZE_OPTIONS = ("crop_size", "fineSize", "load_size", "loadSize")
# Values of the option ``model`` for unpaired training, where the network's input is the unchanged frame.
UNPAIRED_MODELS = ("cycle_gan", "cut", "fastcut", "sincut")
MIN_NEAREST_SHARE = 0.2  # Smallest share of matching tensors, 0 to 1, for which an error names the nearest family.


class SafetensorsError(ValueError):
    """The header of a safetensors file is damaged, or does not match the file."""


def is_safetensors(path: Path) -> bool:
    """Return whether a file starts with a safetensors header that lists tensors. Raises OSError."""
    try:
        return any(isinstance(entry, dict) and "data_offsets" in entry for entry in _read_header(path)[0].values())
    except SafetensorsError:
        return False


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of a safetensors file by name. Raises SafetensorsError, OSError."""
    table, begin = _read_header(path)
    size = path.stat().st_size - begin
    tensors = {name: _parse_tensor(path, name, entry, begin, size) for name, entry in table.items()}
    ranges = sorted((t.at, t.length * ITEM_BYTES.get(t.kind, 1)) for t in tensors.values() if t.length)
    if any(at + length > after for (at, length), (after, _) in pairwise(ranges)):
        raise SafetensorsError("two of its tensors share their bytes")
    return tensors


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the unchecked entries of a safetensors header by tensor name, and the byte offset of the tensor data."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if 2 <= length <= MAX_HEADER_BYTES else b""
    if len(text) != length or not text.startswith(b"{"):
        raise SafetensorsError("its header is missing or cut off")
    try:
        table = json.loads(text, object_pairs_hook=reject_repeated_keys)
    except (ValueError, RecursionError):
        raise SafetensorsError("its header is damaged") from None
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise SafetensorsError("its metadata contain values that are not text")
    if len(table) > MAX_TENSORS:
        raise SafetensorsError("it has more tensors than any model")
    return table, 8 + length


def _parse_tensor(path: Path, name: str, entry: Any, begin: int, size: int) -> StoredTensor:  # noqa: ANN401  (of JSON)
    """Return the checked tensor of a header entry; the file has ``size`` bytes of tensor data from offset ``begin``."""
    try:
        safetensors_dtype, shape, (first, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, first, end]
    except (TypeError, KeyError, ValueError):
        raise SafetensorsError(f"its header has no complete entry for '{name[:80]}'") from None
    if not isinstance(safetensors_dtype, str) or safetensors_dtype not in DTYPES:
        raise SafetensorsError(f"'{name[:80]}' holds numbers of an unsupported type ({str(safetensors_dtype)[:20]})")
    if len(shape) > MAX_AXES or not all(type(n) is int and 0 <= n < 1 << 48 for n in numbers):
        raise SafetensorsError(f"the shape or the byte range of '{name[:80]}' is out of bounds")
    length, dtype = math.prod(shape), DTYPES[safetensors_dtype]
    if end - first != length * ITEM_BYTES.get(dtype, 1) or end > size:
        raise SafetensorsError(f"'{name[:80]}' is cut off, or its byte range does not fit its shape")
    strides = tuple(accumulate(reversed(shape[1:]), lambda a, b: a * b, initial=1))[::-1] if shape else ()
    return StoredTensor(tuple(shape), dtype, path, begin + first, length, strides)


@dataclass(frozen=True)
class RecognisedCheckpoint:
    """A recognised checkpoint: its tensors by name, its family's name in ``FAMILIES``, and the network that fits.

    The tensor names are those of the file without ``PREFIXES``.
    """

    tensors: Tensors
    family: str
    candidate: Candidate


class CheckpointFormat(ForeignFormat):
    """Files of ``torch.save``, and safetensors of other tools, that hold a generator of a known family."""

    suffixes = ()  # A name without suffix never selects a checkpoint, because training folders contain many

    def detect(self, path: Path) -> bool:
        """Return whether a file is a file of torch.save, or a safetensors file of another tool.

        Any other pickle is also accepted, so that an error can explain why it is unusable.
        """
        if is_torch_file(path) or is_bare_pickle(path):
            return True
        return is_safetensors(path) and not NativeFormat().detect(path)

    def describe(self, path: Path, hints: Hints = NO_HINTS) -> ForeignModel:
        """Return the description of the network in a file, completed from the tool's options. Raises ModelError."""
        checkpoint = recognise(path)
        if exported := ExportedModel.read(read_description(path)):
            candidate = checkpoint.candidate
            return exported.model(path, checkpoint.family, candidate.generator, candidate.ports, candidate.origin)
        family: Family = FAMILIES.load(checkpoint.family)()
        tool_options = read_options(path)
        candidate, options = family.with_options(checkpoint.candidate, tool_options), translate_options(tool_options)
        inputs, outputs = candidate.channels
        return ForeignModel(
            family=checkpoint.family,
            generator=candidate.generator,
            ports={"in_channels": inputs, "out_channels": outputs} | candidate.ports,
            size=options.get("size", candidate.size),
            pairing=options.get("pairing") or candidate.pairing,
            origin=candidate.origin | candidate.layout.origin,
            dark_lines=candidate.dark_lines,
            notes=(*candidate.notes, *options.get("notes", ())),
        )

    def read_weights(self, path: Path, model: ForeignModel) -> dict[str, Any]:
        """Return the tensors of a checkpoint under vidtrans's tensor names, as float32 or int64. Raises ModelError."""
        checkpoint = recognise(path)
        layout = checkpoint.candidate.layout
        stored = {ours: checkpoint.tensors[theirs] for ours, theirs in layout.names.items()}
        if sum(tensor.num_bytes for tensor in stored.values()) > MAX_SHARED_RATIO * path.stat().st_size:
            raise ModelError(
                str(path),
                "its tensors share stored bytes, so they are far larger in memory than the file",
                "save a state_dict() whose tensors are clones",
            )
        weights = {ours: _as_float(tensor.read()) for ours, tensor in stored.items()}
        weights |= {ours: swap_halves(weights[ours]) for ours in layout.swapped}
        return weights | {ours: constant_tensor(constant) for ours, constant in layout.constants.items()}


def _as_float(tensor: Any) -> Any:  # noqa: ANN401  (no torch here)
    """Convert a tensor to float32, or an integer tensor to int64."""
    return tensor.float() if tensor.is_floating_point() else tensor.long()


def recognise(path: Path) -> RecognisedCheckpoint:
    """Return the recognised checkpoint in a file. Raises ModelError, which says what an unusable file contains."""
    checkpoint = _recognise_tensors(path)
    exported = ExportedModel.read(read_description(path))
    return checkpoint if exported is None else _match_description(checkpoint, exported)


def _match_description(checkpoint: RecognisedCheckpoint, model: ExportedModel) -> RecognisedCheckpoint:
    """Return the checkpoint with the network that the description of an exported model names, if it fits the tensors.

    The tensors of some networks fit several families. If the description does not fit the tensors, the checkpoint is
    returned unchanged.
    """
    from vidtrans.networks import GENERATORS, UNTRAINED
    from vidtrans.networks.init import complete_settings

    name, tables = model.generator["name"], model.record_tables
    ports, origin = tables.get("ports", {}), tables.get("origin", {})
    channels = (ports.get("in_channels", model.in_channels), ports.get("out_channels", 3))
    shapes = {name: tensor.shape for name, tensor in checkpoint.tensors.items()}
    try:
        registry = UNTRAINED if name in UNTRAINED else GENERATORS
        settings = complete_settings(registry, name, model.generator.get("settings", {}), "generator")
    except (UsageError, ValueError, TypeError, KeyError):
        return checkpoint
    for family in FAMILIES:
        try:
            layout = FAMILIES.load(family)().layout_of(name, settings, channels, origin)
        except (ValueError, TypeError, KeyError):
            continue
        if layout is not None:
            candidate = Candidate({"name": name, "settings": settings}, channels, layout, ports=ports, origin=origin)
            if not match_layout(candidate, shapes).problem:
                return RecognisedCheckpoint(checkpoint.tensors, family, candidate)
    return checkpoint


def _recognise_tensors(path: Path) -> RecognisedCheckpoint:
    """Return the tensors of a checkpoint with the first family that fits them. Raises ModelError without one."""
    try:
        contents = _read(path)
    except (PickleError, SafetensorsError) as error:
        raise ModelError(str(path), str(error), "copy it again, or save its state_dict() again") from None
    if contents is None:
        raise ModelError(str(path), "it is a pickle, but not of torch.save", "give a checkpoint of a generator")
    tables = list(_tensor_tables(contents.value))
    best: tuple[Fit, str, Family] | None = None
    for tensors in tables:
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        for name in FAMILIES:
            family: Family = FAMILIES.load(name)()
            candidate = family.candidate(shapes)
            if candidate is None:
                continue
            fit = match_layout(candidate, shapes)
            if not fit.problem:
                if contents.needs or is_training_checkpoint(contents.value):
                    break
                return RecognisedCheckpoint(tensors, name, candidate)
            if best is None or fit.share > best[0].share:
                best = fit, name, family
    raise _refusal_error(path, contents.value, contents.needs, best)


def _read(path: Path) -> TorchFile | None:
    """Return the contents of a checkpoint; None for a pickle that is not of torch.save."""
    if is_torch_file(path):
        return read_torch_file(path)
    return TorchFile(read_safetensors(path), []) if is_safetensors(path) else None


def _refusal_error(path: Path, value: object, needs: list[str], best: tuple[Fit, str, Family] | None) -> ModelError:
    """Return the error for a refused checkpoint with contents ``value``; ``best``: the nearest family, or None.

    ``needs``: the functions that its pickle calls, see ``TorchFile``.
    """
    reason_and_remedy = explain_refusal(value, needs)
    if reason_and_remedy:
        return ModelError(str(path), *reason_and_remedy)
    remedy = "'vidtrans model formats' lists the known families"
    if best is not None and best[0].share >= MIN_NEAREST_SHARE:
        why = f"its tensors fit no known family; the nearest is {best[2].title} ({best[1]}), but {best[0].problem}"
        return ModelError(str(path), why, remedy)
    return ModelError(str(path), "its tensors fit no known family of generators", remedy)


def _tensor_tables(value: object) -> list[Tensors]:
    """Return the tensor tables in a checkpoint's contents ``value`` that may be a generator's state dict.

    Prefixes that all names of a table share are removed.
    """
    if not isinstance(value, dict):
        return []
    inside = [value[name] for name in WRAPPER_KEYS if isinstance(value.get(name), dict)]
    tables: list[Tensors] = []
    for table in (value, *inside):
        tensors = {str(name): one for name, one in table.items() if isinstance(one, StoredTensor)}
        for _ in range(MAX_PREFIXES):
            prefix = next((p for p in PREFIXES if all(n.startswith(p) for n in tensors)), "")
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
        if tensors:
            tables.append(tensors)
    return tables


def explain_refusal(value: object, needs: list[str]) -> tuple[str, str] | None:
    """Return reason and remedy for refusing a checkpoint with contents ``value`` that calls functions ``needs``.

    The result is None if the reason is unknown. ``needs``: see ``TorchFile``.
    """
    if isinstance(value, dict):
        if set(value) >= OPTIMISER_KEYS:
            return "it is the state of an optimiser, not a network", "give the generator's file"
        if is_training_checkpoint(value):
            return "it is a training checkpoint, with the states of optimisers", SAVE_REMEDY
    if needs:
        if isinstance(value, dict):
            return more_than_tensors(needs), SAVE_REMEDY
        callee = value.callee if isinstance(value, Opaque) else needs[-1]
        return (
            f"it is a pickled Python object that would run {callee[:100]}, which vidtrans never does",
            SAVE_REMEDY,
        )
    if not isinstance(value, dict):
        return "it holds no tensors by name", SAVE_REMEDY
    names = [name for name, one in value.items() if isinstance(one, StoredTensor)]
    if not names:
        return "it holds no tensors by name", SAVE_REMEDY
    if reason := _other_network({str(name): value[name].shape for name in names}):
        return reason, "give the generator's file (…_net_G.pth)"
    return None


def is_training_checkpoint(value: object) -> bool:
    """Return whether a checkpoint contains an optimiser's state, and so serves to resume training."""
    return isinstance(value, dict) and any(isinstance(name, str) and "optim" in name.lower() for name in value)


def _other_network(shapes: dict[str, tuple[int, ...]]) -> str:
    """Return the reason for refusing a discriminator or CUT's network ``netF``; '' for any other network."""
    plain = {name.removeprefix("module."): shape for name, shape in shapes.items()}
    if _is_discriminator(plain):
        return "it is a discriminator, not a generator"
    if all(name.startswith(("mlp_",)) for name in plain):
        return "it is CUT's feature projection (netF), not a generator"
    return ""


def _is_discriminator(shapes: dict[str, tuple[int, ...]]) -> bool:
    """Return whether tensors have a discriminator's names, or small kernels and one channel in the last layer."""
    if any(name.startswith(("scale0", "discriminator_0", "layer0")) for name in shapes):
        return True
    convolutions = [shape for name, shape in shapes.items() if name.endswith("weight") and len(shape) == 4]
    ends_in_one = bool(convolutions) and convolutions[-1][0] == 1
    return ends_in_one and all(shape[2:] in ((4, 4), (1, 1), (3, 3), (2, 2)) for shape in convolutions)


def translate_options(options: Mapping[str, str]) -> Table:
    """Return the ``size`` (short side in pixels), ``pairing`` and ``notes`` that follow from another tool's options."""
    translated: Table = {}
    side = next((options[name] for name in SIZE_OPTIONS if options.get(name, "").isdecimal()), "")
    if side and 16 <= (short := _short_side(int(side), options.get("aspect_ratio", ""))) <= 8192:
        translated["size"] = short
    if options.get("model", "").lower() in UNPAIRED_MODELS:
        translated["pairing"] = {"name": "aligned", "settings": {}}
    quoted = [
        f"{name} {options[name]}" for name in ("model", "netG", "norm", "direction", "preprocess") if name in options
    ]
    if quoted:
        translated["notes"] = (f"its options are: {', '.join(quoted)}"[:300],)
    return translated


def _short_side(width: int, aspect_ratio: str) -> int:
    """Return a picture's short side for a ``width``, in pixels; ``aspect_ratio``: SPADE's width / height, '' for 1."""
    number = float(aspect_ratio) if re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,6})?", aspect_ratio) else 1.0
    return round(width / max(number, 1.0))


def read_options(checkpoint: Path) -> dict[str, str]:
    """Return the options in the options file next to a checkpoint, by option name; {} without such a file."""
    for name in OPTION_FILES:
        path = checkpoint.parent / name
        if path.is_file() and path.stat().st_size <= MAX_OPTION_BYTES:
            text = path.read_text("utf-8", "replace")
            parts = (line.partition(":") for line in text.splitlines())
            return {name.strip(): rest.partition("[default:")[0].strip() for name, _, rest in parts}
    return {}
