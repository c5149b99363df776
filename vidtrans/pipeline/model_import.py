"""``vidtrans model import``: a model of another tool in, one of ours out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.clips.indexing import content_digest, open_clip
from vidtrans.clips.sampling import read_clip_frames, spread_numbers
from vidtrans.config.recipe import Recipe
from vidtrans.errors import UsageError
from vidtrans.models.formats import format_of, load_format
from vidtrans.models.formats.foreign import ForeignFormat, ForeignModel, Hints
from vidtrans.models.model_file import embed_extractor, file_in_folder, save_model
from vidtrans.models.model_record import Card, ModelRecord
from vidtrans.networks.ports import named_range
from vidtrans.output.target import produce, refuse_link
from vidtrans.pairing.base import Pairing, make_pairing, pairing_record
from vidtrans.rendering.extraction import FrameExtractor, resized
from vidtrans.requests import MODEL_SUFFIX, ImportRequest
from vidtrans.session import Context
from vidtrans.settings import Size, Table, record_table, to_table
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.frame_format import FrameFormat

VERSION = 1
CALIBRATION_FRAMES = 16  # of a clip, that go through a network at once
LIGHT_LINES = ("edges",)  # pairings with light lines on black
# Names of files that say nothing: the folder's does, and of CycleGAN the direction.
PLAIN_NAMES = {"latest_net_G": "", "latest_net_G_A": "_A", "latest_net_G_B": "_B", "manifest": ""}


def import_model(request: ImportRequest, context: Context) -> Table:
    """Convert a model, and return what is reported of it. Raises UsageError, ModelError, MediaError."""
    path = file_in_folder(request.model)
    form = load_format(format_of(path))
    if not isinstance(form, ForeignFormat):
        raise UsageError(str(path), "vidtrans uses it as it is", f"give it to a command: --model {path}")
    output = request.output or refuse_link(Path(f"{_name_of(path)}{MODEL_SUFFIX}"))
    model = _described(form, path, request)
    pairing = _pairing_of(model, request.recipe)
    extractor = FrameExtractor.of_pairing(pairing, context) if pairing else None
    if pairing and extractor:
        pairing = make_pairing(pairing.name, record_table(pairing.settings) | extractor.for_record())
    elif request.embed:
        raise UsageError("--embed", "its input is made by no other network", "use --pairing model, or leave it out")
    key = {
        "command": "model import",
        "version": VERSION,
        "model": [context.cache.digest(p) for p in form.files(path)],
        "described": to_table(model),
        "pairing": pairing_record(pairing) if pairing else {},
        "card": to_table(request.recipe.settings("card", Card)),
        "norms": request.norms,
        "calibrate": content_digest(context, request.calibrate) if request.calibrate else "",
        "embed": request.embed,
    }
    record = model.record(path, pairing)  # what does not fit is said before anything is written

    def make(target: Path) -> Table:
        generator, made = form.load_described(path, model, pairing)
        made = replace(made, card=made.card | _card(request.recipe))
        if request.norms or request.calibrate:
            made = _with_norms(generator, made, request, lambda clip: _inputs(clip, made, extractor, context))
        save_model(target, generator, made)
        if extractor and request.embed:
            embed_extractor(target, target, extractor.model.load_generator())
        return {"frames": 0}

    table = produce(context, output, key, form.files(path), make)
    for note in () if table["cached"] else model.notes:
        context.note(note)
    return table | {"family": record.origin["family"], "pairing": record.pairing["name"], "working_size": record.size}


def _name_of(path: Path) -> str:
    folder = path.resolve().parent.name
    return f"{folder}{PLAIN_NAMES[path.stem]}" if folder and path.stem in PLAIN_NAMES else path.stem


def _described(form: ForeignFormat, path: Path, request: ImportRequest) -> ForeignModel:
    """Return what the file holds, with what the request says of it laid over."""
    model = form.describe(path, Hints(request.range or "", request.layout or "", request.trust))
    ports: Table = {}
    if request.range and not form.uses_range:
        ports |= named_range(request.range)
    named = request.recipe.tables.get("pairing", {}).get("name", "")
    if model.dark_lines and named in LIGHT_LINES:
        ports["invert"] = True
    for name in ("invert", "bgr"):
        if (value := getattr(request, name)) is not None:
            ports[name] = value
    return replace(model, ports=model.ports | ports, size=request.size or model.size)


def _pairing_of(model: ForeignModel, recipe: Recipe) -> Pairing | None:
    """Return the pairing that was named, or follows from the file, with the settings that were given; None for none."""
    table = {**recipe.tables.get("pairing", {}), **recipe.pairing_changes}
    follows = model.pairing.get("name", "")
    name = table.pop("name", follows)
    if name == follows and name:
        table = model.pairing["settings"] | table  # of label maps the number of classes, say
    return make_pairing(name, table) if name else None


def _card(recipe: Recipe) -> Table:
    return {name: text for name, text in to_table(recipe.settings("card", Card)).items() if text}


def _with_norms(
    generator: Any,  # noqa: ANN401  (no torch here)
    record: ModelRecord,
    request: ImportRequest,
    inputs: Callable[[Path], np.ndarray],
) -> ModelRecord:
    """Return the record of a network whose norms use stored statistics, or those of each picture, as was asked for.

    The network learns the statistics of a clip's ``inputs``, where there is one. Raises UsageError, MediaError.
    """
    settings = record.generator["settings"]
    if settings.get("norm") not in ("picture", "batch"):
        option = "--norms" if request.norms else "--calibrate"
        raise UsageError(option, "the norms of this network have no statistics to choose from", "leave it out")
    if request.calibrate:
        from vidtrans.models.calibration import calibrate

        calibrate(generator, inputs(request.calibrate))
    elif request.norms == "stored" and record.origin.get("statistics") is False:
        raise UsageError("--norms stored", "its file has no statistics", "give a clip with --calibrate")
    norm = "picture" if request.norms == "picture" else "batch"
    generator_table = record.generator | {"settings": settings | {"norm": norm}}
    return replace(record, generator=generator_table)


def _inputs(clip_path: Path, record: ModelRecord, extractor: FrameExtractor | None, context: Context) -> np.ndarray:
    """Return the network's inputs of some frames of a clip, (N, H, W, C) uint8, at the model's size."""
    clip = open_clip(context, clip_path)
    pairing = make_pairing(record.pairing["name"], record.pairing["settings"])
    if pairing.offsets != (0,) or pairing.guides:
        raise UsageError("--calibrate", f"the pairing '{pairing.name}' needs more than single frames", "leave it out")
    numbers = spread_numbers(clip.index.num_frames, CALIBRATION_FRAMES)
    size = Size(short=record.size).of(clip.index.width, clip.index.height)
    frames = (resized(f, size, extractor) for f in read_clip_frames(clip, numbers, FrameFormat(), context))
    return np.stack([pairing.input([to_uint8(picture) for picture in (f.rgb, *f.guides)]) for f in frames])
