"""The description that 'vidtrans model export' writes into files, so that imported files render like the model."""

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

DESCRIPTION_VERSION = 1  # Version of the description's format; other versions are ignored.
METADATA_KEY = "vidtrans"  # Metadata key of the description in ONNX files.
DESCRIPTION_NAME = "vidtrans.json"  # File name of the description in zip archives.
MAX_DESCRIPTION_BYTES = 16 << 20  # Largest size of a description in bytes.
# Tables of an imported network's record that are part of an exported graph. Only an exported checkpoint needs them.
PORT_TABLES = ("ports", "origin")
# Tables of the model's record that rendering needs besides those in ``ExportedModel``.
RECORD_TABLES = ("dream", "codes", *PORT_TABLES)


def read_description(path: Path) -> bytes:
    """Return the description (JSON) in a zip archive that 'vidtrans model export' wrote; b"" for any other file."""
    with (
        suppress(zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError),
        zipfile.ZipFile(path) as file,
    ):
        infos = [info for info in file.filelist if info.filename.endswith(f"/{DESCRIPTION_NAME}")]
        if len(infos) == 1 and infos[0].file_size <= MAX_DESCRIPTION_BYTES:
            return file.read(infos[0])
    return b""


@dataclass(frozen=True)
class ExportedModel:
    """The description of the model in an exported file, with all properties that rendering needs.

    Attributes:
        generator, pairing, size, card: As in the model's record.
        in_channels: The number of the network's input channels.
        whole: Whether the file includes the pairing, so that it maps RGB to RGB.
        record_tables: The tables of the record in ``RECORD_TABLES`` that the record has, by name.
    """

    generator: Table
    pairing: Table
    size: int
    card: Table
    in_channels: int
    whole: bool
    record_tables: Table

    @classmethod
    def read(cls, text: str | bytes) -> ExportedModel | None:
        """Parse the JSON text of a description; return None for any other text."""
        try:
            table = parse_table(text)
            if table["format"] != DESCRIPTION_VERSION:
                return None
            record_tables = {name: dict(table[name]) for name in RECORD_TABLES if name in table}
            model = cls(
                generator=dict(table["generator"]),
                pairing=dict(table["pairing"]),
                size=int(table["trained_size"]),
                card=dict(table["card"]),
                in_channels=int(table["in_channels"]),
                whole=bool(table["whole"]),
                record_tables=record_tables,
            )
            model.pairing["name"], model.pairing["settings"], model.generator["name"]
        except (ValueError, KeyError, TypeError, OverflowError):
            return None
        return model

    def input_pairing(self, path: Path) -> Pairing:
        """Return the pairing that makes the file's input from a frame.

        Raises ModelError if the pairing belongs to a plug-in that is not installed.
        """
        PAIRINGS.require(self.pairing, path, ModelError)
        pairing = make_pairing(self.pairing["name"], self.pairing["settings"])
        if not self.whole:
            return pairing
        if pairing.upscale_factor > 1:
            return make_pairing("enlarge", {"factor": pairing.upscale_factor})
        return make_pairing("grade" if pairing.at_source_size else "aligned", {})

    def model(
        self, path: Path, family: str, generator: Table, ports: Table, origin: Table | None = None
    ) -> ForeignModel:
        """Return the ``ForeignModel`` of a file from this description, and from the network that the file holds.

        ``family``: the network's family; ``generator``: its name and settings; ``ports``: its ``PortSettings``;
        ``origin``: facts about the file for a later export. Raises ModelError for a damaged description.
        """
        try:
            pairing = self.input_pairing(path)
            tables = {name: table for name, table in self.record_tables.items() if name not in PORT_TABLES}

            model = ForeignModel(
                family=family,
                generator=generator,
                ports={"in_channels": pairing.in_channels} | ports,
                size=self.size,
                pairing=pairing_record(pairing),
                card=self.card,
                origin={"exported": self.generator["name"], **(origin or {})},
                record_tables={} if self.whole else tables,
                notes=("'vidtrans model export' wrote it, and says what its input is made of",),
            )
            parse_record(model.record(path).to_json(), path)
        except (UsageError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                str(path), f"its description is damaged ({first_line(error)})", "export it again"
            ) from None
        return model
