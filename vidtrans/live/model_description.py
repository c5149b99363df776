"""What a page needs to know of a model."""

from __future__ import annotations

from vidtrans.core.settings import Table
from vidtrans.dreaming.predictors import predicts_frames
from vidtrans.live.live_controls import describe_pairing, looks_of
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.pairing.regions import Regions, palette


def describe_model(model: LoadedModel) -> Table:
    """Return a model's name, size, drawings, palette, looks, guides and settings, as JSON."""
    pairing = model.pairing
    size = model.record.size if model.record and not pairing.at_source_size else 0
    return {
        "name": model.name,
        "pairing": pairing.name,
        "size": size,
        "drawing": pairing.drawing_kind,
        "palette": [_hex(c) for c in palette(pairing.settings.levels).colours] if isinstance(pairing, Regions) else [],
        "looks": looks_of(model),
        "guides": list(pairing.guides),
        "dreams": predicts_frames(model),
        "needs_dream": pairing.has_clock,
        "settings": describe_pairing(pairing),
    }


def _hex(colour: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{int(level):02x}" for level in colour)
