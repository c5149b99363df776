"""Model formats: they tell a kind of model file by its content, read it and, where they can, write it.

A format is a class that does what ``base.ModelFormat`` states. The first one that detects a file reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vidtrans.core.errors import ModelError
from vidtrans.core.files import check_regular_file
from vidtrans.core.registry import Entry, Registry

if TYPE_CHECKING:
    from vidtrans.models.formats.base import ModelFormat

NATIVE = "vidtrans"
FORMATS = Registry(
    "model format",
    {
        NATIVE: Entry("vidtrans.models.formats.native:NativeFormat", ".safetensors made by 'vidtrans train'"),
        "cube": Entry("vidtrans.models.formats.cube:CubeFormat", ".cube, a table of colours for grading"),
        "checkpoint": Entry(
            "vidtrans.models.formats.torch_checkpoint:CheckpointFormat",
            ".pth, PyTorch checkpoints of pix2pix, CycleGAN, CUT, pix2pixHD …",
        ),
        "torchscript": Entry(
            "vidtrans.models.formats.torchscript:TorchScriptFormat", "TorchScript, a program: imported with --trust"
        ),
        "onnx": Entry("vidtrans.models.formats.onnx:OnnxFormat", ".onnx, a network that makes pictures of pictures"),
    },
)


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
