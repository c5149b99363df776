"""``vidtrans try``: a grid of settings on a few frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vidtrans.clips.indexing import content_digest
from vidtrans.config.rendering_settings import RenderingSettings
from vidtrans.files import base_name
from vidtrans.models.loaded_model import LoadedModel, load_model
from vidtrans.models.model_file import COLOURS, companion_path
from vidtrans.output.target import produce, refuse_link
from vidtrans.rendering.code_conditions import look_files
from vidtrans.rendering.settings_grid import check_variations, draw_grid, parse_variations
from vidtrans.requests import TryRequest
from vidtrans.session import Context
from vidtrans.settings import Table

VERSION = 3


def try_out(request: TryRequest, context: Context) -> Table:
    """Write a labelled grid, a row for each of a few frames and a column for each setting; return what is reported.

    Raises UsageError, MediaError, ModelError, DeviceError.
    """
    video, recipe = request.video, request.recipe
    output = request.output or refuse_link(Path(f"{base_name(video)}.try.png"))
    looks = [load_model(name, context, recipe.pairing_changes) for name in request.models]
    colours = _colour_maps(looks, context)
    rendering = recipe.settings("rendering", RenderingSettings)
    variations = [variation for text in request.vary for variation in parse_variations(text)]
    for look in looks:
        look.check_renders()
        check_variations(look, rendering, variations)
    named = [rendering.look, *(str(v.value) for v in variations if v.key == "look")]
    pictures = [file for text in named for file in look_files(text)] if any(x.has_codes for x in looks) else []
    key = {
        "command": "try",
        "version": VERSION,
        "source": content_digest(context, video, looks[0].pairing.guides),
        "models": [look.for_key() for look in looks],
        "colours": [found.for_key() for found in colours],
        "settings": [rendering.for_key()] * len(looks),
        "vary": list(request.vary),
        "frames": request.frames,
        "at": [str(t) for t in request.at],
        "device": context.device_kind,
    }
    if pictures:  # their paths alone are in the settings
        key["looks"] = [context.cache.digest(file) for file in pictures]

    def make(path: Path) -> Table:
        models = [(look, rendering) for look in looks]
        return draw_grid(path, video, models, variations, request.frames, request.at, context, colours)

    sources = [path for path in (video, *(x.path for x in looks + colours), *pictures) if path]
    return produce(context, output, key, sources, make)


def _colour_maps(looks: Sequence[LoadedModel], context: Context) -> list[LoadedModel]:
    """Return the colour maps that lie beside models without pairs: what they would give without training."""
    models = [look.path for look in looks if look.path]
    paths = dict.fromkeys(companion_path(path, COLOURS) for path in models)
    return [load_model(str(path), context) for path in paths if path.is_file() and path not in models]
