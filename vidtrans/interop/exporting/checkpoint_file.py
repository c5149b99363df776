"""The export format for PyTorch checkpoints with the tensor names of another tool, which can load them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.settings import Table
from vidtrans.interop.checkpoint_format import recognise
from vidtrans.interop.exported import DESCRIPTION_NAME
from vidtrans.interop.exporting.base import ExportFormat, ExportSubject, build_description
from vidtrans.interop.families import FAMILIES
from vidtrans.interop.families.base import COUNTER, Family, Layout, constant_tensor, swap_halves
from vidtrans.models.model_record import ModelRecord


class CheckpointExport(ExportFormat):
    """Export a state dict for the tool of the generator's family, such as pytorch-CycleGAN-and-pix2pix or SPADE."""

    def check(self, subject: ExportSubject) -> None:
        """Raise UsageError if no other tool has this generator, or if the model has class colours."""
        if subject.pairing.class_colours is not None:
            why = "they cannot hold the colours of classes"
            raise UsageError("the other tools' .pth files", why, "use --format onnx or torchscript")
        foreign_state_dict(subject.record, subject.generator)

    def write(self, path: Path, subject: ExportSubject) -> Table:
        """Write the tensors, compare them with the tensors read back, and return family, tool and number of tensors."""
        family, state = foreign_state_dict(subject.record, subject.generator)
        buffer = io.BytesIO()  # Given a path, torch would write the file name into the archive
        torch.save(state, buffer)
        with zipfile.ZipFile(buffer, "a") as archive:  # The description; programs that read tensors ignore it
            folder = archive.namelist()[0].partition("/")[0]
            archive.writestr(zipfile.ZipInfo(f"{folder}/{DESCRIPTION_NAME}"), build_description(subject))
        path.write_bytes(buffer.getvalue())
        if not torch.load(path, weights_only=True).keys() == state.keys():
            raise ModelError(f"model '{subject.name}'", "torch does not read its file as it was written", "report this")
        checkpoint = recognise(path)
        if checkpoint.tensors.keys() != state.keys() or not all(
            torch.equal(checkpoint.tensors[name].read(), tensor) for name, tensor in state.items()
        ):
            raise ModelError(f"model '{subject.name}'", "its file does not read back as it was written", "report this")
        return {"family": family, "tool": FAMILIES.load(family).tool, "tensors": len(state)}


def foreign_state_dict(record: ModelRecord, generator: Any) -> tuple[str, dict[str, Any]]:  # noqa: ANN401  (no torch here)
    """Return the name of a generator's family, and its tensors under the tensor names of that family's tool.

    Args:
        record: The model's record.
        generator: The generator, alone or in the wrapper that converts value ranges (``networks.ports``).

    Raises:
        UsageError: No family has this generator.
    """
    from vidtrans.models.formats import cpu_weights
    from vidtrans.networks import GENERATORS, UNTRAINED
    from vidtrans.networks.init import complete_settings, inner_generator

    name, what = record.generator["name"], "the other tools' .pth files"
    if record.plate or record.memory:
        raise UsageError(what, "they cannot hold a background plate or a memory", "train a model without these")
    if record.codes:
        raise UsageError(what, "they cannot hold a style code", "use --format onnx or torchscript")
    registry = UNTRAINED if name in UNTRAINED else GENERATORS
    settings = complete_settings(registry, name, record.generator["settings"], "generator")
    channels = (record.ports.get("in_channels", record.in_channels), record.ports.get("out_channels", 3))
    state = cpu_weights(inner_generator(generator))
    for family_name in FAMILIES:
        family: Family = FAMILIES.load(family_name)()
        try:
            layout = family.layout_of(name, settings, channels, record.origin)
            if layout is not None:
                return family_name, _rename_tensors(state, layout)
        except ValueError as error:
            raise UsageError(f"a file for {family.tool}", str(error), "use --format onnx") from None
    raise UsageError(what, f"none of the tools that read such files has a generator like '{name}'", "use --format onnx")


def _rename_tensors(state: Table, layout: Layout) -> dict[str, Any]:
    """Return tensors under another tool's names. Raises ValueError for a tensor that the tool's files lack."""
    for ours, constant in layout.constants.items():
        expected = constant_tensor(constant).to(state[ours].dtype)
        is_constant = ours.endswith(COUNTER) or bool((state[ours] == expected).all())
        if not is_constant:
            raise ValueError(f"such a file has no '{ours}': it must be {constant[1]:g} everywhere, and is not")
    if unmapped := [name for name in state if name not in layout.names and name not in layout.constants]:
        raise ValueError(f"such a file has no '{unmapped[0]}'")
    return {
        theirs: swap_halves(state[ours]).contiguous() if ours in layout.swapped else state[ours]
        for ours, theirs in layout.names.items()
    }
