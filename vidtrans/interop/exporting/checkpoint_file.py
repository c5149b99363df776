"""Models as checkpoints of PyTorch under the names of other tools, so that work can go on there."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from vidtrans.core.errors import ModelError
from vidtrans.core.settings import Table
from vidtrans.interop.checkpoints.checkpoint_format import recognise
from vidtrans.interop.exporting.base import ExportFormat, ExportSubject
from vidtrans.interop.families import FAMILIES
from vidtrans.interop.families.writing import their_state


class CheckpointExport(ExportFormat):
    """A state dict of the tool whose generator it is: pytorch-CycleGAN-and-pix2pix, pix2pixHD, SPADE."""

    def check(self, subject: ExportSubject) -> None:
        """Refuse a generator of no other tool; see ``ExportFormat``."""
        their_state(subject.record, subject.generator)

    def write(self, path: Path, subject: ExportSubject) -> Table:
        """Write, compare and report; see ``ExportFormat``."""
        family, state = their_state(subject.record, subject.generator)
        buffer = io.BytesIO()  # a path would name the archive inside, and the same model would not give the same bytes
        torch.save(state, buffer)
        path.write_bytes(buffer.getvalue())
        found = recognise(path)
        if found.tensors.keys() != state.keys() or not all(
            torch.equal(found.tensors[name].read(), tensor) for name, tensor in state.items()
        ):
            raise ModelError(f"model '{subject.name}'", "its file does not read back as it was written", "report this")
        return {"family": family, "tool": FAMILIES.load(family).tool, "tensors": len(state)}
