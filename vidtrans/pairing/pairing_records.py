"""Make a pairing from its name and settings, and record it."""

from __future__ import annotations

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table, from_table, record_table
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.matte_channel import MatteChannel

MATTE = "matte"  # the key of a record that tells that the input has the frame's matte


def make_pairing(name: str, table: Table) -> Pairing:
    """Return the pairing ``name`` with the settings of ``table``. Raises UsageError on unknown names and keys.

    ``matte`` in the table: its input also has the frame's matte, see ``MatteChannel``.
    """
    cls, has_matte = PAIRINGS.load(name), bool(table.get(MATTE))
    table = {key: value for key, value in table.items() if key != MATTE}
    if cls.name != name:  # it would be recorded under another name than it is found by
        raise UsageError(f"pairing '{name}'", f"its class has the name '{cls.name}'", f"set name = '{name}' in it")
    pairing: Pairing = cls(from_table(cls.Settings, table, "pairing"))
    return MatteChannel(pairing) if has_matte else pairing


def pairing_record(pairing: Pairing) -> Table:
    """Return a pairing's record for datasets, model files and cache keys: name, version, settings, and its plug-in."""
    settings = record_table(pairing.settings) | ({MATTE: True} if isinstance(pairing, MatteChannel) else {})
    return {"name": pairing.name, "version": pairing.version, "settings": settings} | PAIRINGS.origin(pairing.name)
