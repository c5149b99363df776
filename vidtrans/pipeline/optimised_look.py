"""``vidtrans look --optimise``: pictures in, a model that optimises each frame to look like them out, untrained."""

from __future__ import annotations

from pathlib import Path

from vidtrans.clips.indexing import content_digest, open_clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.data.dataset import DatasetSettings
from vidtrans.files import canonical_json
from vidtrans.output.target import produce
from vidtrans.requests import LookRequest
from vidtrans.session import Context
from vidtrans.settings import Table, parse_size
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.frame_format import DEFAULT_FORMAT

VERSION = 1
LARGEST_SIDE = 512  # pixels, of a stored picture's short side: no strokes are broader
SIZE = 288  # pixels, of the short side of renders, where the recipe says none


def optimised_look(request: LookRequest, names: list[str], output: Path, context: Context) -> Table:
    """Write the model and return what is reported of it. Raises UsageError, MediaError."""
    recipe = request.recipe
    own = {key: value for key, value in recipe.tables.get("generator", {}).items() if key != "name"}
    measure = recipe.settings("training", TrainingSettings).method_settings["look_measure"]
    size = parse_size(recipe.settings("dataset", DatasetSettings).size).short or SIZE
    key = {
        "command": "look --optimise",
        "version": VERSION,
        "pictures": [content_digest(context, picture) for picture in request.pictures],
        "names": names,
        "generator": canonical_json(own),
        "measure": measure,
        "size": size,
    }

    def make(path: Path) -> Table:
        from vidtrans.perception import resolve_measure
        from vidtrans.perception.style import middle_of, with_short_side

        resolved = resolve_measure(measure)
        pictures = []
        for picture in request.pictures:
            clip = open_clip(context, picture)
            (frame,) = read_clip_frames(clip, [clip.index.num_frames // 2], DEFAULT_FORMAT, context)
            middle = middle_of(frame.rgb)
            pictures.append(with_short_side(middle, LARGEST_SIDE) if min(middle.shape[:2]) > LARGEST_SIDE else middle)
        sizes = [f"{picture.shape[1]}x{picture.shape[0]}" for picture in pictures]
        _save_model(path, pictures, own | {"sizes": sizes, "measure": resolved}, names, size)
        return {"frames": 0, "looks": names, "measure": resolved}

    return produce(context, output, key, [p for p in request.pictures if p.is_file()], make)


def _save_model(path: Path, pictures: list, settings: Table, names: list[str], size: int) -> None:  # type: ignore[type-arg]
    from vidtrans.flow.history import METHOD
    from vidtrans.models.model_file import save_model
    from vidtrans.models.model_record import NORMALISATION, ModelRecord
    from vidtrans.networks import GENERATORS
    from vidtrans.networks.init import build_generator, complete_settings
    from vidtrans.pairing.base import make_pairing, pairing_record

    pairing = make_pairing("look", {"looks": names})
    generator = build_generator("optimised", settings, pairing.in_channels, memory=True)
    generator.set_pictures(pictures)
    record = ModelRecord(
        generator={"name": "optimised", "settings": complete_settings(GENERATORS, "optimised", settings, "generator")},
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
