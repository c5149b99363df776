"""The untrained style model, which optimises each frame towards its style pictures at render time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vidtrans.clips.indexing import content_digest, open_clip
from vidtrans.clips.sampling import read_style_picture
from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.files import canonical_json
from vidtrans.core.settings import Table, parse_size
from vidtrans.data.settings import DatasetSettings
from vidtrans.output.result import produce
from vidtrans.session import Context
from vidtrans.training import LookMethodSettings
from vidtrans.training.settings import TrainingSettings

if TYPE_CHECKING:
    import numpy as np

VERSION = 2
LARGEST_SIDE = 512  # pixels, of a stored picture's short side: no strokes are broader


def optimised_look(given: Sequence[Path], names: list[str], recipe: Recipe, output: Path, context: Context) -> Table:
    """Write a model with looks ``names`` of pictures ``given``; return its report. Raises UsageError, MediaError."""
    own = {key: value for key, value in recipe.tables.get("generator", {}).items() if key != "name"}
    for name in ("sizes", "measure"):
        if name in own:
            why = "it follows from the pictures, and from training.look_measure"
            raise UsageError(f"generator.{name}", why, "leave it out")
    wanted = recipe.settings("dataset", DatasetSettings).size
    size = parse_size(wanted).short
    if size is None:
        raise UsageError(
            f"dataset.size = '{wanted}'",
            "with --optimise it has to be one number, the length of the short side",
            "set one number; give width and height when rendering: 'vidtrans stylize' has --size",
        )
    from vidtrans.perception import MEASURES, resolve_measure

    measure = resolve_measure(recipe.settings("training", TrainingSettings).own(LookMethodSettings).look_measure)
    clips = [open_clip(context, picture) for picture in given]
    key = {
        "command": "look --optimise",
        "version": VERSION,
        "pictures": [content_digest(context, picture) for picture in given],
        "names": names,
        "generator": canonical_json(own),
        "measure": [measure, MEASURES.load(measure).identity()],
        "size": size,
    }

    def make(path: Path) -> Table:
        from vidtrans.perception.measure import SMALLEST_SIDE, middle_of, with_short_side

        pictures = []
        for clip in clips:
            middle = middle_of(read_style_picture(clip, context))
            side = min(max(min(middle.shape[:2]), SMALLEST_SIDE), LARGEST_SIDE)
            pictures.append(with_short_side(middle, side))
        sizes = [f"{picture.shape[1]}x{picture.shape[0]}" for picture in pictures]
        _save_model(path, pictures, own | {"sizes": sizes, "measure": measure}, names, size)
        return {"frames": 0, "looks": names, "measure": measure}

    return produce(context, output, key, [p for p in given if p.is_file()], lambda: make)


def _save_model(path: Path, pictures: Sequence[np.ndarray], settings: Table, names: list[str], size: int) -> None:
    from vidtrans.flow.history import METHOD
    from vidtrans.models.model_file import save_model
    from vidtrans.models.model_record import NORMALISATION, ModelRecord
    from vidtrans.networks import UNTRAINED
    from vidtrans.networks.init import build_generator, complete_settings
    from vidtrans.pairing.pairing_records import make_pairing, pairing_record

    pairing = make_pairing("look", {"looks": names})
    generator = build_generator("optimised", settings, pairing.in_channels, memory=True)
    generator.set_pictures(pictures)
    record = ModelRecord(
        generator={"name": "optimised", "settings": complete_settings(UNTRAINED, "optimised", settings, "generator")},
        pairing=pairing_record(pairing),
        in_channels=pairing.in_channels,
        out_channels=3,
        size=size,
        normalisation=NORMALISATION,
        training={},
        card={},
        memory={"flow": METHOD},
    )
    save_model(path, generator, record)
