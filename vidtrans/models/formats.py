"""Model formats: they tell a kind of model file by its content, read it and, where they can, write it.

A format is a class that does what ``ModelFormat`` states. The first one that detects a file reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.files import check_regular_file
from vidtrans.core.registry import Entry, Registry
from vidtrans.models.model_record import ModelRecord

NATIVE = "vidtrans"
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
            "vidtrans.interop.onnx.onnx_format:OnnxFormat", ".onnx, a network that makes pictures of pictures"
        ),
    },
)


class ModelFormat:
    """One kind of model file. Importing its module imports no torch; nothing in a file is ever run."""

    suffixes: ClassVar[tuple[str, ...]]  # of the files that a bare name may mean

    def detect(self, path: Path) -> bool:
        """Return whether the file says that it is of this format, damaged or not, by its content. Raises OSError.

        It reads little, in bounded memory, whatever the file is.
        """
        raise NotImplementedError

    def files(self, path: Path) -> list[Path]:
        """Return the files that a detected one is made of: itself, first."""
        return [path]

    def read_record(self, path: Path) -> ModelRecord:
        """Return what a detected file says of itself, checked, without its weights. Raises ModelError."""
        raise NotImplementedError

    def load(self, path: Path) -> tuple[Any, ModelRecord]:
        """Return a detected file's generator, a torch module on the CPU, and its record. Raises ModelError."""
        raise NotImplementedError

    def load_extractor(self, path: Path) -> tuple[Any, ModelRecord]:
        """Return the same of the extractor that is embedded in the file. Raises ModelError. Optional."""
        raise ModelError(str(path), "files of this format embed no extractor", "choose another file")

    def save(self, path: Path, generator: Any, record: ModelRecord) -> None:  # noqa: ANN401  (no torch here)
        """Write a model file, complete or not at all; the same model gives the same bytes. Optional."""
        raise UsageError(str(path), "files of this format are only read", "choose another format")


def format_of(path: Path) -> str:
    """Return the name of a model file's format. Raises ModelError where it has none, or cannot be read."""
    check_regular_file(path, ModelError)
    try:
        with path.open("rb"):
            found = next((name for name in FORMATS if load_format(name).detect(path)), "")
    except OSError as error:
        raise ModelError(str(path), str(error.strerror).lower(), "give a model file that can be read") from None
    if found:
        return found
    why = "not a model file of a known format, or cut short"
    raise ModelError(str(path), why, "copy it again, or see which are known: vidtrans model formats")


def load_format(name: str) -> ModelFormat:
    """Return a format by its name."""
    made: ModelFormat = FORMATS.load(name)()
    return made


def suffixes() -> list[str]:
    """Return the endings of model files, those that are looked for first at the front."""
    return list(dict.fromkeys(suffix for name in FORMATS for suffix in load_format(name).suffixes))
