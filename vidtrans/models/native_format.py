"""The native model file: a ``.safetensors`` file with the generator's weights and all that rendering needs.

Its single metadata key, ``vidtrans``, is canonical JSON (with several keys the bytes would differ between runs):
format, architecture and settings, pairing and settings, size, normalisation, training record, card, the weights'
digest. The network that makes the model's input may be embedded: its weights have a name prefix, and its record is
nested in the record. There are no times and paths, so the same training gives the same bytes (limits:
docs/guides/training/gpus.md).
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from vidtrans.core.errors import ModelError, first_line
from vidtrans.core.files import convert_disk_errors, write_atomically
from vidtrans.core.system import WINDOWS
from vidtrans.models.formats import ModelFormat, build_with_weights, cpu_weights, weights_digest
from vidtrans.models.model_record import ModelRecord, parse_record

METADATA_KEY = "vidtrans"  # Key of the record in the safetensors metadata
PREFIX = "extractor/"  # Name prefix of an embedded extractor's weights; names of modules have no slash
MAX_HEADER_BYTES = 16 << 20  # Largest size in bytes of a safetensors header: the metadata and one entry per tensor


class NativeFormat(ModelFormat):
    """The native model format: a safetensors file with the model record in its metadata."""

    suffixes = (".safetensors",)

    def detect(self, path: Path) -> bool:
        """Return whether the header of a safetensors file contains vidtrans's metadata key. Raises OSError."""
        with path.open("rb") as file:
            header = file.read(min(int.from_bytes(file.read(8), "little"), MAX_HEADER_BYTES))
        return b'"__metadata__"' in header and f'"{METADATA_KEY}"'.encode() in header

    def read_record(self, path: Path) -> ModelRecord:
        """Read and check the record in the metadata. Raises ModelError."""
        from safetensors import SafetensorError, safe_open

        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if MAX_HEADER_BYTES < length <= path.stat().st_size:  # Parsing a header takes many times its size in memory
            raise ModelError(str(path), "its metadata is absurdly large", "do not use this file")
        try:
            with safe_open(str(path), framework="numpy") as file:
                text = (file.metadata() or {})[METADATA_KEY]
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise ModelError(str(path), f"it is damaged ({first_line(error)})", "train or copy it again") from None
        return parse_record(text, path)

    def load(self, path: Path) -> tuple[Any, ModelRecord]:
        """Return the generator with its weights, and its record. Raises ModelError."""
        record = self.read_record(path)
        return build_with_weights(path, record, partial(_read_weights, has_extractor=bool(record.extractor))), record

    def load_extractor(self, path: Path) -> tuple[Any, ModelRecord]:
        """Return the embedded extractor's generator with its weights, and its record. Raises ModelError."""
        record = self.read_record(path).extractor_record(path)
        return build_with_weights(path, record, partial(_read_weights, has_extractor=True, of_extractor=True)), record

    def save(
        self,
        path: Path,
        generator: Any,  # noqa: ANN401  (no torch here)
        record: ModelRecord,
        extractor: tuple[Any, ModelRecord] | None = None,
    ) -> None:
        """Write weights and record, with the weights in the generator's dtype, 32 or 16 bits.

        ``extractor``: the generator and the record of an extractor to embed.
        """
        from safetensors.torch import save_file

        weights = cpu_weights(generator)
        record = replace(record, weights=weights_digest(weights), extractor={})
        if extractor is not None:
            extractor_weights = cpu_weights(extractor[0])
            embedded = replace(extractor[1], weights=weights_digest(extractor_weights))
            record = replace(record, extractor=json.loads(embedded.to_json()))
            weights |= {PREFIX + name: tensor for name, tensor in extractor_weights.items()}
        with write_atomically(path) as temporary:
            temporary.touch()
            mode = temporary.stat().st_mode
            with convert_disk_errors(temporary):
                save_file(weights, str(temporary), metadata={METADATA_KEY: record.to_json()})
            temporary.chmod(mode)  # The library safetensors creates files that only their owner can read


def _read_weights(path: Path, *, has_extractor: bool, of_extractor: bool = False) -> dict[str, Any]:
    """Return the weights by name of the model, or of its embedded extractor without the name prefix."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            names = [n for n in file.keys() if not has_extractor or n.startswith(PREFIX) == of_extractor]  # noqa: SIM118
            weights = {name.removeprefix(PREFIX) if of_extractor else name: file.get_tensor(name) for name in names}
            # Tensors are memory-mapped, and Windows cannot replace a mapped file, so training could not save its model.
            return {name: tensor.clone() for name, tensor in weights.items()} if WINDOWS else weights
    except SafetensorError as error:
        raise ValueError(str(error)) from None
