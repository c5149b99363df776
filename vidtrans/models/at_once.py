"""A model made at once of the pictures that ``--look`` names: their styles are predicted, nothing is trained.

The file is in the cache. It is an ordinary model with a look for each picture, or for each mixture of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidtrans.core.curves import parse_names
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.flow.bars import bars_of
from vidtrans.models.model_file import SUFFIX, save_model
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.pairing.look_pairing import condition_planes
from vidtrans.session import Context
from vidtrans.store.stages import AtOnceStage
from vidtrans.video.images.picture import read_picture

SIZE = 288  # lines at which its strokes are as large as in the pictures that the networks were trained on
VERSION = 1  # of the networks' weights and of what is made of them
Mixture = tuple[tuple[Path, float], ...]  # pictures and their shares, which add up to 1
HINT = 'give a picture, a mixture as in "a.jpg: 0.6, b.jpg: 0.4", or moments as in "0: a.jpg, 5s: b.jpg"'


@dataclass(frozen=True)
class NamedPictures:
    """The pictures of a ``--look``: a mixture for each look by its name, and the value of ``--look`` in these names."""

    looks: dict[str, Mixture]
    value: str


def parse_pictures(look: str) -> NamedPictures:
    """Return the pictures that a ``--look`` names. Raises UsageError if it names anything else."""
    if Path(look).is_file():
        return _named([((Path(look), 1.0),)], [])
    parts = [[each.strip() for each in part.rpartition(":")[::2]] for part in look.split(",")]
    if all(Path(name).is_file() for name, _ in parts):
        return _named([_mixture(look, parts)], [])
    names, moments = parse_names(look, "--look")
    for name in names:
        if not Path(name).is_file():
            raise UsageError(f"--look {name}", "there is no model, and no such picture", HINT)
    return _named([((Path(name), 1.0),) for name in names], [str(moment) for moment in moments])


def _mixture(look: str, parts: Sequence[Sequence[str]]) -> Mixture:
    try:
        shares = [float(share) for _, share in parts]
    except ValueError:
        raise UsageError(f"--look '{look}'", "after a picture comes its share, a number", HINT) from None
    total = sum(shares)
    if min(shares) < 0 or not 0 < total < float("inf"):
        raise UsageError(f"--look '{look}'", "shares are from 0, and not all 0", HINT)
    return tuple((Path(name), share / total) for (name, _), share in zip(parts, shares, strict=True))


def _named(mixtures: Sequence[Mixture], moments: Sequence[str]) -> NamedPictures:
    looks: dict[str, Mixture] = {}
    used = []
    for mixture in mixtures:
        plain = name = "+".join(path.stem for path, _ in mixture).replace(",", "_").replace(":", "_")
        number = 2
        while looks.get(name, mixture) != mixture:
            name, number = f"{plain}-{number}", number + 1
        looks[name] = mixture
        used.append(name)
    value = ", ".join(f"{moment}: {name}" for moment, name in zip(moments, used, strict=True)) if moments else used[0]
    return NamedPictures(looks, value)


def model_at_once(pictures: NamedPictures, context: Context) -> Path:
    """Return the model file with the looks of pictures, from the cache or made now. Raises MediaError."""
    mixtures = [[(context.cache.digest(path), share) for path, share in each] for each in pictures.looks.values()]
    stage = AtOnceStage(list(pictures.looks), mixtures, VERSION)
    entry = context.cache.entry(stage.name, stage.key)
    file = "+".join(pictures.looks)[:80] + SUFFIX
    if entry.read() is None:
        with entry.locked():
            _make(pictures, entry.folder / file)
            entry.finish({"model": file}, (file,))
    return Path(entry.folder / file)


def read_look(path: Path, remedy: str) -> np.ndarray:
    """Return a picture of a ``--look`` without its bars, (H, W, 3) uint8. Raises MediaError with the ``remedy``."""
    try:
        picture = read_picture(path)
        return bars_of([picture]).crop(picture)
    except MediaError as error:
        raise MediaError(f"--look {path}", error.why, remedy) from None


def _make(pictures: NamedPictures, output: Path) -> None:
    from vidtrans.models.style_prediction import StylePrediction  # torch

    prediction = StylePrediction()
    vectors = []
    for mixture in pictures.looks.values():
        found = []
        for path, share in mixture:
            found.append(share * prediction.vector(read_look(path, "give another picture")))
        vectors.append(np.sum(found, axis=0))
    names = list(pictures.looks)
    record = ModelRecord(
        generator={"name": "predicted-style", "settings": {"looks": len(names)}},
        pairing={"name": "look", "version": 1, "settings": {"looks": names}},
        in_channels=3 + condition_planes(len(names)),
        out_channels=3,
        size=SIZE,
        normalisation=NORMALISATION,
        training={},
        card={"notes": "a look at once, by the networks of Magenta (Apache 2.0)"},
    )
    save_model(output, prediction.network(vectors), record)
