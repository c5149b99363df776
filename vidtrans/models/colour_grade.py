"""Model files of colour grades: a lattice of colours, which needs no training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vidtrans.core.settings import Table
from vidtrans.models.model_record import NORMALISATION, ModelRecord


def save_grade(path: Path, nodes: np.ndarray, title: str, scores: Table) -> None:
    """Write colours (n, n, n, 3) in [0, 1], the first axis blue, as a model with a ``title``."""
    from vidtrans.models.model_file import save_model
    from vidtrans.networks.colour_map import ColourMap, ColourMapSettings

    generator = ColourMap(3, 3, ColourMapSettings(len(nodes)))
    generator.set_nodes(nodes)
    record = ModelRecord(
        generator={"name": "colour-map", "settings": {"size": len(nodes)}},
        pairing={"name": "grade", "version": 1, "settings": {"direction": "AtoB"}},
        in_channels=3,
        out_channels=3,
        size=256,
        normalisation=NORMALISATION,
        training={"grade": scores},
        card={"notes": title},
    )
    save_model(path, generator, record)
