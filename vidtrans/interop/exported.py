"""The description that 'vidtrans model export' writes into its files, by which they render as their models do."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vidtrans.core.errors import ModelError, UsageError, first_line
from vidtrans.core.settings import Table
from vidtrans.core.text_files import parse_table
from vidtrans.models.formats import ForeignModel
from vidtrans.models.model_record import parse_record
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.pairing_records import make_pairing, pairing_record

FORMAT = 1  # The version of descriptions.
METADATA_KEY = "vidtrans"  # The key of the description in ONNX files.
DESCRIPTION = "vidtrans.json"  # The name of the description in archives.
MAX_DESCRIPTION = 16 << 20  # The most bytes of a description.
PORTS = ("ports", "origin")  # Tables of an imported network: part of what a graph computes, but not of its weights.
KEPT = ("dream", "codes", *PORTS)


def description_in(path: Path) -> bytes:
    """Return the description in an archive that 'vidtrans model export' wrote; b"" for another file."""
    with (
        suppress(zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError),
        zipfile.ZipFile(path) as file,
    ):
        found = [info for info in file.filelist if info.filename.endswith(f"/{DESCRIPTION}")]
        if len(found) == 1 and found[0].file_size <= MAX_DESCRIPTION:
            return file.read(found[0])
    return b""


@dataclass(frozen=True)
class ExportedModel:
    """What a file of ``vidtrans model export`` says of its model, so that it renders as the model does.

    Attributes:
        generator, pairing, size, card: As in the model's record.
        in_channels: The number of the network's input channels.
        whole: Whether the file includes the pairing.
        kept: The other tables of the record that rendering needs, those of ``KEPT``.
    """

    generator: Table
    pairing: Table
    size: int
    card: Table
    in_channels: int
    whole: bool
    kept: Table

    @classmethod
    def read(cls, text: str | bytes) -> ExportedModel | None:
        """Return the described model; None for another text."""
        try:
            table = parse_table(text)
            if table["format"] != FORMAT:
                return None
            kept = {name: dict(table[name]) for name in KEPT if name in table}
            found = cls(
                generator=dict(table["generator"]),
                pairing=dict(table["pairing"]),
                size=int(table["trained_size"]),
                card=dict(table["card"]),
                in_channels=int(table["in_channels"]),
                whole=bool(table["whole"]),
                kept=kept,
            )
            found.pairing["name"], found.pairing["settings"], found.generator["name"]
        except (ValueError, KeyError, TypeError, OverflowError):
            return None
        return found

    def made_pairing(self, path: Path) -> Pairing:
        """Return the pairing that makes the input of the file. Raises ModelError for one of an absent plug-in."""
        PAIRINGS.require(self.pairing, path, ModelError)
        made = make_pairing(self.pairing["name"], self.pairing["settings"])
        if not self.whole:
            return made
        if made.upscale_factor > 1:
            return make_pairing("enlarge", {"factor": made.upscale_factor})
        return make_pairing("grade" if made.at_source_size else "aligned", {})

    def model(
        self, path: Path, family: str, generator: Table, ports: Table, origin: Table | None = None
    ) -> ForeignModel:
        """Return the description of the model in a file. Raises ModelError for a damaged description."""
        try:
            pairing = self.made_pairing(path)
            made = ForeignModel(
                family=family,
                generator=generator,
                ports={"in_channels": pairing.in_channels} | ports,
                size=self.size,
                pairing=pairing_record(pairing),
                card=self.card,
                origin={"exported": self.generator["name"], **(origin or {})},
                kept={} if self.whole else {name: table for name, table in self.kept.items() if name not in PORTS},
                notes=("'vidtrans model export' wrote it, and says what its input is made of",),
            )
            parse_record(made.record(path).to_json(), path)
        except (UsageError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                str(path), f"its description is damaged ({first_line(error)})", "export it again"
            ) from None
        return made
