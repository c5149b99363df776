"""Find model files by name, and read each with its format."""

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
from vidtrans.core.system import as_found
from vidtrans.models.formats import NATIVE, ForeignFormat, ForeignModel, format_of, load_format, suffixes
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.models.native_format import NativeFormat
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.strokes.media import medium_names

SUFFIX = ".safetensors"
IDENTITY = "identity"
REVERSE, COLOURS = "reverse", "colours"  # what the names of models end in that come beside another
IN_FOLDERS = ("latest_net_G.pth", "latest_net_G_A.pth", "latest_net_G_B.pth")
# Which network of a file is meant: the model; the model as the extractor of others, which takes frames where its file
# does not say what it takes; or the extractor that is embedded in it.
Part = Literal["model", "extractor", "embedded"]


def find_model(name: str) -> Path | None:
    """Return the file that ``--model name`` means; None for the built-in ``identity``. Raises ModelError.

    ``name`` is a path, with or without its suffix, or a bare name that is searched in ``model_folders``: native files
    in all of them first, then each kind of other tools' files, so that an export of a model does not hide the model.
    """
    if name == IDENTITY:
        return None
    given = as_found(Path(name))
    check_regular_file(given, ModelError)
    if os.path.isfile(given):  # unlike the methods of Path, these functions raise for no name
        return given
    is_imported = not name.endswith(("/", "\\")) and os.path.isfile(as_found(Path(f"{name}{SUFFIX}")))
    if os.path.isdir(given) and not is_imported and any((given / inside).is_file() for inside in IN_FOLDERS):
        return file_in_folder(given)
    if given.suffix in suffixes():
        raise _no_file(given)
    folders = model_folders() if len(given.parts) == 1 else [Path()]
    for candidate in (as_found(folder / f"{name}{suffix}") for suffix in suffixes() for folder in folders):
        if os.path.isfile(candidate):
            return candidate
    if len(given.parts) > 1 or nearest_file(given):
        raise _no_file(given)
    raise _unknown_model(name)


def _no_file(path: Path) -> ModelError:
    """Return the error for a model's path at which there is no file, with the nearest name in its folder."""
    near = nearest_file(path)
    remedy = f"did you mean '{near}'?" if near else "train one with 'vidtrans train DATASET'"
    return ModelError(str(path), "no such file", remedy)


def _unknown_model(name: str) -> ModelError:
    """Return the error for a name that no model has, with the nearest name of a model or a medium."""
    models = [*known_models(), IDENTITY]
    near = nearest_name(name, [*medium_names(), *models])
    use = f"use it without --model, as in: vidtrans stylize VIDEO --look {near}"
    if name in medium_names():
        return ModelError(f"model '{name}'", "it is a medium", use)
    remedy = f"did you mean '{near}'?" if near else f"give a file, or choose from: {', '.join(models)}"
    if near in medium_names():
        remedy = f"did you mean the medium '{near}'? vidtrans stylize VIDEO --look {near}"
    return ModelError(f"model '{name}'", "no model of this name", remedy)


def medium_among(names: Sequence[str]) -> str:
    """Return the medium that ``names`` mean instead of a model: the only name, and no model has it; or ''."""
    if len(names) != 1 or names[0] not in medium_names():
        return ""
    try:
        find_model(names[0])
    except ModelError:
        return names[0]
    return ""


def companion_path(model: Path, name: str) -> Path:
    """Return the path of the file ``name`` of a model: 'night.NAME.safetensors' beside 'night.safetensors'."""
    return model.with_name(f"{model.name.removesuffix(SUFFIX)}.{name}{SUFFIX}")


def both_ways(model: Path) -> list[Path]:
    """Return a model's file and, if it exists beside it, the file of the reverse model (B to A)."""
    return [model, *(path for path in [companion_path(model, REVERSE)] if path.is_file())]


def file_in_folder(path: Path) -> Path:
    """Return the model file in another tool's folder; a file is returned as it is. Raises ModelError for 0 or 2 files.

    pytorch-CycleGAN-and-pix2pix writes ``latest_net_G.pth`` into its training folder; for CycleGAN it writes one file
    for each direction.
    """
    check_regular_file(path, ModelError)
    if not path.is_dir():
        if path.is_file():
            return path
        raise ModelError(str(path), "no such file", "give the model's file, or its folder")
    found = [path / name for name in IN_FOLDERS if (path / name).is_file()]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ModelError(str(path), f"none of {', '.join(IN_FOLDERS)} is in this folder", "give the model's file")
    why = f"it holds {' and '.join(p.name for p in found)}, one for each direction"
    raise ModelError(str(path), why, f"give one of them: {' or '.join(map(str, found))}")


def known_models() -> dict[str, Path]:
    """Return the paths of all models that can be given by a bare name, by that name."""
    folders = [f for f in reversed(model_folders()) if f.is_dir()]
    patterns = [f"*{suffix}" for suffix in reversed(suffixes())]
    found = {p.stem: p for pattern in patterns for folder in folders for p in sorted(folder.glob(pattern))}
    return dict(sorted(found.items()))


def model_folders() -> list[Path]:
    """Return the folders in which model names are searched, in order; the last holds the bundled models."""
    return [Path(), Path("models"), user_models(), PACKAGE / "assets"]


def user_models() -> Path:
    """Return the user's own folder of models, whose names are known in every working folder."""
    import platformdirs

    return Path(platformdirs.user_data_dir("vidtrans")) / "models"


def read_record(path: Path, part: Part = "model") -> ModelRecord:
    """Return the checked record of a ``part`` of a model file, without loading weights or torch. Raises ModelError."""
    form = load_format(format_of(path))
    if part == "extractor" and isinstance(form, ForeignFormat):
        model = form.describe(path)
        return model.record(path, _pairing_of_extractor(model))
    record = form.read_record(path)
    return record.extractor_record(path) if part == "embedded" else record


def load_generator(path: Path, part: Part = "model") -> tuple[Any, ModelRecord]:
    """Return a model file's generator with its weights, in eval mode on the CPU, and its record. Raises ModelError."""
    from vidtrans.networks.init import inner_generator  # it imports torch

    form = load_format(format_of(path))
    if part == "extractor" and isinstance(form, ForeignFormat):
        model = form.describe(path)
        generator, record = form.load_described(path, model, _pairing_of_extractor(model))
    else:
        generator, record = form.load_extractor(path) if part == "embedded" else form.load(path)
    if record.origin and "exported" not in record.origin:  # another tool pads no further than its network needs
        generator.multiple = int(getattr(inner_generator(generator), "stride", generator.multiple))
    for parameter in generator.parameters():
        parameter.requires_grad_(False)
    return generator.eval(), record


def _pairing_of_extractor(model: ForeignModel) -> Pairing | None:
    """Return the pairing 'aligned', whose input is the frame, for a network without a pairing of its own; else None."""
    return None if model.pairing else make_pairing("aligned", {})


def save_model(path: Path, generator: Any, record: ModelRecord) -> None:  # noqa: ANN401  (no torch here)
    """Write a model file atomically. Weights are stored as they are in the generator, in 32 or 16 bits."""
    load_format(NATIVE).save(path, generator, record)


def embed_extractor(path: Path, output: Path, extractor: tuple[Any, ModelRecord]) -> None:
    """Write a copy of the model file ``path`` to ``output`` with its extractor embedded.

    ``extractor``: the generator and the record of the network that makes the model's input. Raises ModelError.
    """
    generator, record = load_generator(path)
    NativeFormat().save(output, generator, record, extractor)


def save_grade(path: Path, nodes: np.ndarray, title: str, scores: Table) -> None:
    """Write a 3D LUT, ``nodes`` (n, n, n, 3) in [0, 1] with blue as the first axis, as a model file."""
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
