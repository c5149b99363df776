"""Model formats: each recognises one kind of model file by its content, reads it and, if supported, writes it.

A format is a subclass of ``ModelFormat``. The first format that detects a file reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.files import check_regular_file
from vidtrans.core.registry import Entry, Registry
from vidtrans.models.model_record import ModelRecord
from vidtrans.video.io.picture_paths import is_picture

NATIVE = "vidtrans"
PACK_SUFFIX = ".vidtrans.zip"  # of a model with its card, to share
FORMATS = Registry(
    "model format",
    {
        NATIVE: Entry("vidtrans.models.native_format:NativeFormat", ".safetensors made by 'vidtrans train'"),
        "cube": Entry("vidtrans.interop.cube:CubeFormat", ".cube, a table of colours for grading"),
        "checkpoint": Entry(
            "vidtrans.interop.checkpoints.checkpoint_format:CheckpointFormat",
            ".pth, PyTorch checkpoints of pix2pix, CycleGAN, CUT, pix2pixHD …",
        ),
        "torchscript": Entry(
            "vidtrans.interop.torchscript:TorchScriptFormat", "TorchScript, a program: imported with --trust"
        ),
        "onnx": Entry(
            "vidtrans.interop.onnx.onnx_format:OnnxFormat",
            ".onnx, a network that makes pictures of pictures, in one look or many",
        ),
    },
    group="model_formats",
)


class ModelFormat:
    """One kind of model file. Importing its module imports no torch; code in a file is never run."""

    suffixes: ClassVar[tuple[str, ...]]  # of the files that a bare name may mean

    def detect(self, path: Path) -> bool:
        """Return whether the file begins like files of this format, even if it is damaged. Raises OSError.

        Reads only a little of any file, in bounded memory.
        """
        raise NotImplementedError

    def files(self, path: Path) -> list[Path]:
        """Return the paths of a detected model file and of the files that belong to it, the model file first."""
        return [path]

    def read_record(self, path: Path) -> ModelRecord:
        """Return the checked record of a detected file without reading its weights. Raises ModelError."""
        raise NotImplementedError

    def load(self, path: Path) -> tuple[Any, ModelRecord]:
        """Return a detected file's generator, a torch module on the CPU, and its record. Raises ModelError."""
        raise NotImplementedError

    def load_extractor(self, path: Path) -> tuple[Any, ModelRecord]:
        """Return generator and record of the network, embedded in the file, that makes its input. Raises ModelError."""
        why = "files of this format embed no network that makes the model's input"
        raise ModelError(str(path), why, "use a .safetensors file that 'vidtrans train --embed' wrote")

    def save(self, path: Path, generator: Any, record: ModelRecord) -> None:  # noqa: ANN401  (no torch here)
        """Write a model file atomically; the same model gives the same bytes. Raises UsageError if only read."""
        raise UsageError(str(path), "vidtrans cannot write files of this format", "choose another format")


def format_of(path: Path) -> str:
    """Return the name of a model file's format. Raises ModelError if the format is unknown or the file unreadable."""
    check_regular_file(path, ModelError)
    if path.name.endswith(PACK_SUFFIX):
        raise ModelError(str(path), "it is the pack of a model", f"take the model from it: vidtrans model add {path}")
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
    """Return the model format with this name."""
    made: ModelFormat = FORMATS.load(name)()
    return made


def suffixes() -> list[str]:
    """Return the file suffixes of model files, in the order in which they are searched."""
    return list(dict.fromkeys(suffix for _, kind in _formats() for suffix in kind.suffixes))


def _formats() -> Iterator[tuple[str, ModelFormat]]:
    """Yield the formats by name, the built-in ones first; plug-ins that cannot be imported are left out."""
    return ((name, cls()) for name, cls in FORMATS.loaded())
