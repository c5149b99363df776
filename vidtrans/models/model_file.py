"""Find model files by name, and read each with its format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vidtrans.errors import ModelError
from vidtrans.files import PACKAGE, check_regular_file
from vidtrans.models.formats import NATIVE, format_of, load_format, suffixes
from vidtrans.models.model_record import ModelRecord

SUFFIX = ".safetensors"
IDENTITY = "identity"


def find_model(name: str) -> Path | None:
    """Return the file that ``--model name`` means; None for the built-in ``identity``. Raises ModelError.

    A path, whose ending may be left out, or a name that is looked for in the current folder, ``models/``, the user's
    data folder, and among those that ship.
    """
    if name == IDENTITY:
        return None
    given = Path(name)
    check_regular_file(given, ModelError)
    if given.is_file():
        return given
    if given.suffix in suffixes():
        raise ModelError(name, "no such file", "train one with 'vidtrans train DATASET'")
    folders = model_folders() if len(given.parts) == 1 else [Path()]
    for candidate in (folder / f"{name}{suffix}" for folder in folders for suffix in suffixes()):
        if candidate.is_file():
            return candidate
    if len(given.parts) > 1:
        raise ModelError(name, "no such file", "train one with 'vidtrans train DATASET'")
    choices = ", ".join([*known_models(), IDENTITY])
    raise ModelError(f"model '{name}'", "no model of this name", f"give a file, or choose from: {choices}")


def known_models() -> dict[str, Path]:
    """Return the models that a bare name finds."""
    folders = [f for f in reversed(model_folders()) if f.is_dir()]
    patterns = [f"*{suffix}" for suffix in reversed(suffixes())]
    found = {p.stem: p for folder in folders for pattern in patterns for p in sorted(folder.glob(pattern))}
    return dict(sorted(found.items()))


def model_folders() -> list[Path]:
    """Return where names are looked for, in this order; the last holds the models that ship."""
    import platformdirs

    own = Path(platformdirs.user_data_dir("vidtrans")) / "models"
    return [Path(), Path("models"), own, PACKAGE / "assets"]


def read_record(path: Path) -> ModelRecord:
    """Read and check what a model file says of itself; loads no weights and no torch. Raises ModelError."""
    return load_format(format_of(path)).read_record(path)


def load_generator(path: Path) -> tuple[Any, ModelRecord]:
    """Build the generator and load its weights, in eval mode on the CPU. Raises ModelError."""
    generator, record = load_format(format_of(path)).load(path)
    for parameter in generator.parameters():
        parameter.requires_grad_(False)
    return generator.eval(), record


def save_model(path: Path, generator: Any, record: ModelRecord) -> None:  # noqa: ANN401  (no torch here)
    """Write a model file, complete or not at all. Weights are stored in float32 on the CPU."""
    load_format(NATIVE).save(path, generator, record)
