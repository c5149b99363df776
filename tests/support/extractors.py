"""Networks that make the input of others, and models whose picture is their input, which shows what was extracted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vidtrans.core.files import digest_file
from vidtrans.grading.lattice import node_colours
from vidtrans.interop.cube import write_cube
from vidtrans.models.model_file import save_model
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.networks.init import build_generator, initialise
from vidtrans.pairing.pairing_records import make_pairing, pairing_record

COLOURS = {"name": "colour-map", "settings": {"size": 2}}  # of a generator that changes nothing
TINY_UNET = {"name": "unet-small", "settings": {"channels": 8, "blocks": [0, 0, 0]}}


def negative(path: Path) -> Path:
    """Write a network whose picture of a frame is its negative, exactly, at the size of the frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_cube(path, 1 - node_colours(2), "negative")
    return path


def network(path: Path, generator: dict[str, Any] = TINY_UNET, side: int = 32, seed: int = 0, **pairing: Any) -> Path:
    """Write a model with random weights (a colour map with none) and a pairing, by default 'edges'."""
    made = make_pairing(pairing.pop("name", "edges"), pairing)
    built = build_generator(generator["name"], generator["settings"], made.in_channels)
    if generator is not COLOURS:
        initialise(built, seed)
    record = ModelRecord(
        generator=generator,
        pairing=pairing_record(made),
        in_channels=made.in_channels,
        out_channels=3,
        size=side,
        normalisation=NORMALISATION,
        training={},
        card={},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(path, built, record)
    return path


def showing(path: Path, extractor: Path, **pairing: Any) -> Path:
    """Write a model whose picture is its input: what the extractor makes of a frame, as its settings have it."""
    named = {"model": extractor.stem, "digest": digest_file(extractor)}
    return network(path, COLOURS, **{"name": "model", **named, **pairing})
