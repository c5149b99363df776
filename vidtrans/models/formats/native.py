"""The model file of vidtrans: one ``.safetensors`` with the generator's weights and all that is needed to use them.

Its one metadata key, ``vidtrans``, is canonical JSON (with several keys the bytes would differ from run to
run): format, architecture and settings, pairing and settings, size, normalisation, training record, card, the
weights' digest. No times and no paths: the same training gives the same bytes (where: docs/guides/training.md).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from vidtrans.errors import ModelError
from vidtrans.files import naming_disk_errors, write_atomically
from vidtrans.models.formats.base import ModelFormat
from vidtrans.models.model_record import ModelRecord, first_line, parse_record
from vidtrans.models.weights import build_with_weights, weights_digest, weights_of

METADATA_KEY = "vidtrans"
MAX_HEADER_BYTES = 16 << 20  # the metadata, and a line for each tensor


class NativeFormat(ModelFormat):
    """Safetensors with a record in their metadata."""

    suffixes = (".safetensors",)

    def detect(self, path: Path) -> bool:
        """Return whether the header names our metadata key."""
        with path.open("rb") as file:
            header = file.read(min(int.from_bytes(file.read(8), "little"), MAX_HEADER_BYTES))
        return b'"__metadata__"' in header and f'"{METADATA_KEY}"'.encode() in header

    def read_record(self, path: Path) -> ModelRecord:
        """Read and check the metadata."""
        from safetensors import SafetensorError, safe_open

        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if MAX_HEADER_BYTES < length <= path.stat().st_size:  # to read it takes many times its size
            raise ModelError(str(path), "its metadata is absurdly large", "do not use this file")
        try:
            with safe_open(str(path), framework="numpy") as file:
                text = (file.metadata() or {})[METADATA_KEY]
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise ModelError(str(path), f"it is damaged ({first_line(error)})", "train or copy it again") from None
        return parse_record(text, path)

    def load(self, path: Path) -> tuple[Any, ModelRecord]:
        """Build the generator and load its weights."""
        record = self.read_record(path)
        return build_with_weights(path, record, _read_weights), record

    def save(self, path: Path, generator: Any, record: ModelRecord) -> None:  # noqa: ANN401  (no torch here)
        """Write weights and record. Weights are stored in float32."""
        from safetensors.torch import save_file

        weights = weights_of(generator)
        record = replace(record, weights=weights_digest(weights))
        with write_atomically(path) as temporary:
            temporary.touch()
            mode = temporary.stat().st_mode
            with naming_disk_errors(temporary):
                save_file(weights, str(temporary), metadata={METADATA_KEY: record.to_json()})
            temporary.chmod(mode)  # it is made for its owner alone


def _read_weights(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(path))
    except SafetensorError as error:
        raise ValueError(str(error)) from None
