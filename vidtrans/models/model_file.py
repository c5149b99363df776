"""The model file: one ``.safetensors`` with the generator's weights and all that is needed to use them.

Its one metadata key, ``vidtrans``, is canonical JSON (with several keys the bytes would differ from run to
run): format, architecture and settings, pairing and settings, size, normalisation, training record, card, the
weights' digest. No times and no paths: the same training gives the same bytes (docs/training.md says on which devices).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.errors import ModelError, UsageError
from vidtrans.files import PACKAGE, canonical_json, check_ordinary, complete, naming_disk_errors
from vidtrans.flow import FLOWS
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import make_pairing
from vidtrans.settings import Table, setting

FORMAT, WITH_PLATE, WITH_MEMORY = 1, 2, 3
METADATA_KEY = "vidtrans"
SUFFIX = ".safetensors"
IDENTITY = "identity"
MAX_METADATA_BYTES = 4 << 20
MAX_HEADER_BYTES = 16 << 20  # the metadata, and a line for each tensor
MAX_POSITIONS = 10_000_000
SHOWN = 200  # characters of what a library says of a file: a stranger wrote some of them
RATE = re.compile(r"[0-9]{1,12}(/[0-9]{1,12})?")
TABLES = ("generator", "pairing", "training", "card", "plate", "dream", "memory")


@dataclass(frozen=True)
class Card:
    """What a model file says to people. It changes nothing else."""

    author: str = setting("", "who trained it")
    licence: str = setting("", "how it may be used")
    notes: str = setting("", "what it was trained on, what it is good for")


@dataclass(frozen=True)
class ModelRecord:
    """What a model file says of itself.

    ``generator`` and ``pairing`` are tables with ``name`` and ``settings``; ``size`` is the short side that was
    trained at, in pixels; ``training`` and ``card`` are for people. ``plate`` holds the ``size`` (width, height) of the
    plate that the generator paints on, which lies beside the weights as 'plate' and 'scene', and how ``still`` the
    camera was; it is empty where there is none. ``dream`` is for models that predict frames: ``positions`` of the clock
    (0: none), the ``rate`` of what was learned, and the ``bank`` of statistics that its frames had.
    ``memory`` says by which ``flow`` method its own last output comes to a generator that remembers; it is empty where
    none does.
    """

    generator: Table
    pairing: Table
    in_channels: int
    out_channels: int
    size: int
    normalisation: str
    training: Table
    card: Table
    weights: str = ""  # SHA-256 over the tensors, written by ``save_model``
    plate: Table = field(default_factory=dict)
    dream: Table = field(default_factory=dict)
    memory: Table = field(default_factory=dict)

    @property
    def plate_size(self) -> tuple[int, int] | None:
        """(width, height)."""
        return (self.plate["size"][0], self.plate["size"][1]) if self.plate else None

    def to_json(self) -> str:
        """Without a plate, a memory, or what dreams need, it is what it was before there were any."""
        known = {k: v for k, v in self.__dict__.items() if k not in ("plate", "dream", "memory") or v}
        written = WITH_MEMORY if self.memory else WITH_PLATE if self.plate else FORMAT
        return canonical_json({"format": written, **known})


def find_model(name: str) -> Path | None:
    """The file that ``--model name`` means; None for the built-in ``identity``. Raises ModelError.

    A path, or a name that is looked for in the current folder, ``models/``, the user's data folder, and among those
    that ship.
    """
    if name == IDENTITY:
        return None
    given = Path(name)
    check_ordinary(given, ModelError)
    if given.is_file():
        return given
    if given.suffix == SUFFIX or len(given.parts) > 1:
        raise ModelError(name, "no such file", "train one with 'vidtrans train DATASET'")
    places = model_folders()
    for folder in places:
        if (candidate := folder / f"{name}{SUFFIX}").is_file():
            return candidate
    choices = ", ".join([*known_models(), IDENTITY])
    raise ModelError(f"model '{name}'", "no model of this name", f"give a file, or choose from: {choices}")


def known_models() -> dict[str, Path]:
    """The models that a bare name finds."""
    folders = [f for f in reversed(model_folders()) if f.is_dir()]
    found = {p.stem: p for folder in folders for p in sorted(folder.glob(f"*{SUFFIX}"))}
    return dict(sorted(found.items()))


def model_folders() -> list[Path]:
    """Where names are looked for, in this order; the last holds the models that ship."""
    import platformdirs

    own = Path(platformdirs.user_data_dir("vidtrans")) / "models"
    return [Path(), Path("models"), own, PACKAGE / "assets"]


def read_record(path: Path) -> ModelRecord:
    """Read and check a model file's metadata; loads no weights and no torch. Raises ModelError."""
    from safetensors import SafetensorError, safe_open

    _check_header(path)
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise _no_model(path, error) from None
    text = metadata.get(METADATA_KEY)
    if text is None:
        raise ModelError(str(path), "not made by vidtrans (no vidtrans metadata)", "train one with 'vidtrans train'")
    if len(text) > MAX_METADATA_BYTES:
        raise ModelError(str(path), "its metadata is absurdly large", "do not use this file")
    try:
        value: dict[str, Any] = json.loads(text, object_pairs_hook=_each_once)
        found = value.pop("format")
        if found not in (FORMAT, WITH_PLATE, WITH_MEMORY):
            why = f"model format {str(found)[:SHOWN]} is not known here"
            raise ModelError(str(path), why, "update vidtrans, or train again")
        record = ModelRecord(**value)
        _check(record)
    except (UsageError, ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError, RecursionError) as error:
        why = f"its metadata is damaged ({_in_short(error)})"
        raise ModelError(str(path), why, "train or copy it again") from None
    return record


def _check_header(path: Path) -> None:
    """Raises ModelError for a header that no model has: reading one takes many times its size."""
    check_ordinary(path, ModelError)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise _no_model(path, error) from None
    if MAX_HEADER_BYTES < length <= path.stat().st_size:
        raise ModelError(str(path), "its metadata is absurdly large", "do not use this file")


def _no_model(path: Path, error: Exception) -> ModelError:
    why = f"not a model file ({_in_short(error)})"
    return ModelError(str(path), why, "give a .safetensors made by 'vidtrans train'")


def _in_short(error: Exception) -> str:
    """The first line of what went wrong, and not all of that where it is long."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


def _each_once(pairs: list[tuple[str, Any]]) -> Table:
    """A table of JSON; of two values for one key nobody knows which is meant."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands in it twice")
    return table


def _check(record: ModelRecord) -> None:
    for name in TABLES:
        if not isinstance(getattr(record, name), dict):
            raise ValueError(f"'{name}' is no table")
    for name, table in (("generator", record.generator), ("pairing", record.pairing)):
        if not isinstance(table.get("name"), str) or not isinstance(table.get("settings"), dict):
            raise ValueError(f"no {name}")
    if not all(type(n) is int for n in (record.in_channels, record.out_channels, record.size)):
        raise ValueError("channels or size are no numbers")
    if make_pairing(PAIRINGS, record.pairing["name"], record.pairing["settings"]).in_channels != record.in_channels:
        raise ValueError("its pairing makes pictures of other channels than its network takes")
    if not 1 <= record.in_channels <= 64 or record.out_channels != 3 or not 1 <= record.size <= 8192:
        raise ValueError("channels or size out of bounds")
    steps, held_out = record.training.get("steps") or [], record.training.get("held_out") or {}
    if not isinstance(steps, list) or not isinstance(held_out, dict):
        raise ValueError("its training is no record of one")
    if record.plate:
        width, height = record.plate["size"]
        if not all(type(side) is int and 1 <= side <= 8192 for side in (width, height)):
            raise ValueError("the plate's size is out of bounds")
        if type(record.plate["still"]) not in (int, float) or not 0 <= record.plate["still"] <= 1:
            raise ValueError("the plate's stillness is out of bounds")
    if record.dream:
        positions, rate = record.dream["positions"], record.dream["rate"]
        # Not any Fraction: one to the power of a billion takes all memory.
        if type(positions) is not int or not 0 <= positions <= MAX_POSITIONS or not RATE.fullmatch(rate):
            raise ValueError("its clock is out of bounds")
        if not 0 < Fraction(rate) <= 1000:
            raise ValueError("its clock is out of bounds")
    if record.memory and record.memory["flow"] not in FLOWS:
        raise ValueError(f"flow '{record.memory['flow']}' is not known here")


def save_model(path: Path, generator: Any, record: ModelRecord) -> None:
    """Write a model file, complete or not at all. Weights are stored in float32 on the CPU."""
    from safetensors.torch import save_file

    state = {k: v.detach().to("cpu").contiguous() for k, v in generator.state_dict().items()}
    record = replace(record, weights=_weights_digest(state))
    with complete(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        with naming_disk_errors(temporary):
            save_file(state, str(temporary), metadata={METADATA_KEY: record.to_json()})
        temporary.chmod(mode)  # it is made for its owner alone


def _weights_digest(state: dict[str, Any]) -> str:
    whole = hashlib.sha256()
    for name in sorted(state):
        whole.update(name.encode() + b"\0")
        whole.update(np.ascontiguousarray(state[name].numpy()).reshape(-1).view(np.uint8).data)
    return whole.hexdigest()


def _check_kinds(state: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises ValueError where a tensor's numbers are of another kind than the generator's (half as wide, say)."""
    for name, tensor in state.items():
        if name in wanted and tensor.dtype != wanted[name].dtype:
            raise ValueError(f"'{name[:SHOWN]}' holds {tensor.dtype}, it needs {wanted[name].dtype}")


def _is_finite(tensor: Any) -> bool:
    """Whether a tensor of floats holds numbers only. Its extremes say so, in a tenth of the time."""
    return tensor.numel() == 0 or all(math.isfinite(extreme) for extreme in tensor.aminmax())


def load_generator(path: Path) -> tuple[Any, ModelRecord]:
    """Build the generator and load its weights, in eval mode on the CPU. Raises ModelError."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from vidtrans.networks.init import build_generator

    record = read_record(path)
    try:
        with torch.device("meta"):
            generator = build_generator(
                record.generator["name"],
                record.generator["settings"],
                record.in_channels,
                record.out_channels,
                record.plate_size,
                bool(record.memory),
            )
        state = load_file(str(path))
        _check_kinds(state, generator.state_dict())
        generator.load_state_dict(state, assign=True)
    except (UsageError, SafetensorError, RuntimeError, OSError, ValueError, TypeError, OverflowError) as error:
        why = f"its weights do not fit its architecture ({_in_short(error)})"
        raise ModelError(str(path), why, "train or copy it again") from None
    with ThreadPoolExecutor(1, "vidtrans-digest") as beside:
        digest = beside.submit(_weights_digest, state)
        bad = [name for name, tensor in state.items() if tensor.is_floating_point() and not _is_finite(tensor)]
    if digest.result() != record.weights:
        raise ModelError(str(path), "its weights are damaged (not those that were saved)", "copy it again")
    if bad:
        raise ModelError(str(path), f"'{bad[0]}' holds values that are not numbers", "train it again")
    for parameter in generator.parameters():
        parameter.requires_grad_(False)
    return generator.eval(), record
