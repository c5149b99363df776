"""The interface of model formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.models.model_record import ModelRecord


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
