"""Find model files by name, and read each file with its format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vidtrans.core.errors import ModelError
from vidtrans.core.files import PACKAGE, check_regular_file
from vidtrans.core.registry import nearest_file, nearest_name
from vidtrans.core.settings import Table
from vidtrans.core.system import path_as_stored
from vidtrans.models.formats import NATIVE, ForeignFormat, ForeignModel, detect_format, load_format, model_suffixes
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.models.native_format import NativeFormat
from vidtrans.models.paintings import FOLDER as PAINTINGS
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.strokes.media import medium_names

SUFFIX = ".safetensors"  # File suffix of native model files
IDENTITY = "identity"  # Name of the built-in model whose output is the frame
# Middle parts of the file names of companion models: the reverse model (B to A), and the 3D LUT that maps only the
# colours of A to those of B
REVERSE, COLOURS = "reverse", "colours"
# File names of generators in the training folders of pytorch-CycleGAN-and-pix2pix
FOLDER_CHECKPOINTS = ("latest_net_G.pth", "latest_net_G_A.pth", "latest_net_G_B.pth")
# Which network of a model file is used: the model, the model as an extractor, or the extractor embedded in it.
ModelRole = Literal["model", "extractor", "embedded"]


def find_model(name: str) -> Path | None:
    """Return the file of the model ``name``; None for the built-in ``identity``. Raises ModelError.

    ``name`` is a path, with or without suffix, or a bare name that is searched in ``model_folders``: first native files
    in all folders, then each foreign format, so that an export of a model does not hide the model.
    """
    if name == IDENTITY:
        return None
    path = path_as_stored(Path(name))
    check_regular_file(path, ModelError)
    if os.path.isfile(path):  # For some names Path.is_file raises an error; os.path.isfile never does
        return path
    is_imported = not name.endswith(("/", "\\")) and os.path.isfile(path_as_stored(Path(f"{name}{SUFFIX}")))
    if os.path.isdir(path) and not is_imported and any((path / inside).is_file() for inside in FOLDER_CHECKPOINTS):
        return file_in_folder(path)
    if path.suffix in model_suffixes():
        raise _missing_file_error(path)
    folders = model_folders() if len(path.parts) == 1 else [Path()]
    for candidate in (path_as_stored(folder / f"{name}{suffix}") for suffix in model_suffixes() for folder in folders):
        if os.path.isfile(candidate):
            return candidate
    if len(path.parts) > 1 or nearest_file(path):
        raise _missing_file_error(path)
    raise _unknown_model_error(name)


def _missing_file_error(path: Path) -> ModelError:
    """Return the error for a model file that does not exist; it suggests a file with a similar name."""
    near = nearest_file(path)
    remedy = f"did you mean '{near}'?" if near else "train one with 'vidtrans train DATASET'"
    return ModelError(str(path), "no such file", remedy)


def _unknown_model_error(name: str) -> ModelError:
    """Return the error for an unknown model name; it suggests the nearest model or painting medium."""
    models = [*list_models(), IDENTITY]
    near = nearest_name(name, [*medium_names(), *models])
    use = f"use it without --model, as in: vidtrans stylize VIDEO --look {near}"
    if name in medium_names():
        return ModelError(f"model '{name}'", "it is a medium", use)
    remedy = f"did you mean '{near}'?" if near else f"give a file, or choose from: {', '.join(models)}"
    if near in medium_names():
        remedy = f"did you mean the medium '{near}'? vidtrans stylize VIDEO --look {near}"
    return ModelError(f"model '{name}'", "no model of this name", remedy)


def sole_medium(names: Sequence[str]) -> str:
    """Return the name in ``names`` if it is the only one and names a painting medium, not a model; otherwise ''."""
    if len(names) != 1 or names[0] not in medium_names():
        return ""
    try:
        find_model(names[0])
    except ModelError:
        return names[0]
    return ""


def companion_path(model: Path, name: str) -> Path:
    """Return the path of a model's companion file: 'night.NAME.safetensors' for 'night.safetensors'."""
    return model.with_name(f"{model.name.removesuffix(SUFFIX)}.{name}{SUFFIX}")


def with_reverse_model(model: Path) -> list[Path]:
    """Return a model's file, followed by the file of its reverse model (B to A) if that file exists."""
    return [model, *(path for path in [companion_path(model, REVERSE)] if path.is_file())]


def file_in_folder(path: Path) -> Path:
    """Return the checkpoint in another tool's folder; return a file unchanged. Raises ModelError without exactly one.

    pytorch-CycleGAN-and-pix2pix writes ``latest_net_G.pth`` into its training folder; for CycleGAN it writes one file
    for each direction.
    """
    check_regular_file(path, ModelError)
    if not path.is_dir():
        if path.is_file():
            return path
        raise ModelError(str(path), "no such file", "give the model's file, or its folder")
    checkpoints = [path / name for name in FOLDER_CHECKPOINTS if (path / name).is_file()]
    if len(checkpoints) == 1:
        return checkpoints[0]
    if not checkpoints:
        why = f"none of {', '.join(FOLDER_CHECKPOINTS)} is in this folder"
        raise ModelError(str(path), why, "give the model's file")
    why = f"it holds {' and '.join(p.name for p in checkpoints)}, one for each direction"
    raise ModelError(str(path), why, f"give one of them: {' or '.join(map(str, checkpoints))}")


def list_models() -> dict[str, Path]:
    """Return the paths of all models in the model folders, by name without suffix."""
    folders = [f for f in reversed(model_folders()) if f.is_dir()]
    patterns = [f"*{suffix}" for suffix in reversed(model_suffixes())]
    paths = {p.stem: p for pattern in patterns for folder in folders for p in sorted(folder.glob(pattern))}
    return dict(sorted(paths.items()))


def model_folders() -> list[Path]:
    """Return the folders in which models are searched by name, in order; the last two have the bundled models."""
    return [Path(), Path("models"), user_model_folder(), PACKAGE / "assets", PAINTINGS]


def user_model_folder() -> Path:
    """Return the user's model folder, which is searched whatever the working folder is."""
    import platformdirs

    return Path(platformdirs.user_data_dir("vidtrans")) / "models"


def read_record(path: Path, role: ModelRole = "model") -> ModelRecord:
    """Return the checked record of the network with a ``role`` in a model file, without loading weights or torch.

    Raises ModelError.
    """
    model_format = load_format(detect_format(path))
    if role == "extractor" and isinstance(model_format, ForeignFormat):
        model = model_format.describe(path)
        return model.record(path, _extractor_pairing(model))
    record = model_format.read_record(path)
    return record.extractor_record(path) if role == "embedded" else record


def load_generator(path: Path, role: ModelRole = "model") -> tuple[Any, ModelRecord]:
    """Return a network's generator, in eval mode on the CPU, and its record from a model file. Raises ModelError."""
    from vidtrans.networks.init import inner_generator  # Imports torch

    model_format = load_format(detect_format(path))
    if role == "extractor" and isinstance(model_format, ForeignFormat):
        model = model_format.describe(path)
        generator, record = model_format.load_described(path, model, _extractor_pairing(model))
    else:
        generator, record = model_format.load_extractor(path) if role == "embedded" else model_format.load(path)
    if record.origin and "exported" not in record.origin:  # Other tools pad only to multiples of the stride
        generator.multiple = int(getattr(inner_generator(generator), "stride", generator.multiple))
    for parameter in generator.parameters():
        parameter.requires_grad_(False)
    return generator.eval(), record


def _extractor_pairing(model: ForeignModel) -> Pairing | None:
    """Return the pairing 'aligned', whose input is the frame, for a network without a pairing of its own; else None."""
    return None if model.pairing else make_pairing("aligned", {})


def save_model(path: Path, generator: Any, record: ModelRecord) -> None:  # noqa: ANN401  (no torch here)
    """Write a native model file atomically, with weights in the generator's dtype, 32 or 16 bits."""
    load_format(NATIVE).save(path, generator, record)


def embed_extractor(path: Path, output: Path, extractor: tuple[Any, ModelRecord]) -> None:
    """Write a copy of the model file ``path`` to ``output`` with its extractor embedded.

    ``extractor``: the generator and the record of the network that makes the model's input. Raises ModelError.
    """
    generator, record = load_generator(path)
    NativeFormat().save(output, generator, record, extractor)


def save_grade(path: Path, nodes: np.ndarray, title: str, scores: Table) -> None:
    """Write a 3D LUT, ``nodes`` (n, n, n, 3) in [0, 1] with blue as the first axis, as a model file.

    ``title``: the notes in the model's card; ``scores``: training statistics for the record.
    """
    from vidtrans.networks.colour_map import ColourMap, ColourMapSettings

    generator = ColourMap(3, 3, ColourMapSettings(len(nodes)))
    generator.set_nodes(nodes)
    record = ModelRecord(
        generator={"name": "colour-map", "settings": {"size": len(nodes)}},
        pairing={"name": "grade", "version": 1, "settings": {"direction": "AtoB"}},
        in_channels=3,
        out_channels=3,
        size=256,
        normalisation=NORMALISATION,
        training={"grade": scores},
        card={"notes": title},
    )
    save_model(path, generator, record)
