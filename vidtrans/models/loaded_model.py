"""A model ready to render: found by name, opened, with the recipe that it is rendered by."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vidtrans.config.rendering_settings import RenderingSettings
from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.settings import AS_STORED, Size, Table, parse_size
from vidtrans.inference import ENGINES
from vidtrans.inference.engine import Engine, IdentityEngine
from vidtrans.models.formats import format_of, load_format, suffixes
from vidtrans.models.model_file import IDENTITY, Part, find_model, load_generator, model_folders, read_record
from vidtrans.models.model_record import ModelRecord
from vidtrans.networks import ONNX_GRAPH
from vidtrans.pairing.base import Extraction, Pairing, make_pairing, pairing_record
from vidtrans.session import Context

SHOWN_DIGITS = 12  # of a digest, in messages
PLACE = "give its file with --set pairing.model=PATH, or put it into models/ or beside the model"


@dataclass(frozen=True)
class LoadedModel:
    """A model that was found: its file (None for identity), digest, name and record.

    ``changes`` are settings of its pairing that the render sets otherwise. ``extractor``: the network that makes its
    input, where its pairing has one. ``part``: which network of its file it is.
    """

    path: Path | None
    digest: str
    name: str
    record: ModelRecord | None
    changes: Table = field(default_factory=dict)
    extractor: LoadedModel | None = None
    part: Part = "model"

    @property
    def pairing(self) -> Pairing:
        """How the input is made from a raw frame; the identity model takes the frame itself. Raises UsageError."""
        if self.record is None:
            return make_pairing("aligned", dict(self.changes))
        made = make_pairing(self.record.pairing["name"], {**self.record.pairing["settings"], **self.changes})
        if made.in_channels != self.record.in_channels:
            raise UsageError(
                f"--set pairing.… {self.changes}",
                f"the input would have {made.in_channels} channels, '{self.name}' takes {self.record.in_channels}",
                "change other settings, or train a model with these",
            )
        return made

    @property
    def parts(self) -> tuple[LoadedModel, ...]:
        """The models that are rendered one after the other: this one, or those of a chain."""
        return (self,)

    @property
    def is_identity(self) -> bool:
        """Whether it returns its input."""
        return all(part.path is None for part in self.parts)

    def check_renders(self) -> None:
        """Refuse a model whose pictures depend on a clock, which a clip has none of. Raises UsageError."""
        if self.pairing.has_clock:
            why = "it goes by a clock of its own, not by the frames of a clip"
            raise UsageError(f"model '{self.name}'", why, "use vidtrans dream, or a model of --preset next-frame")

    def for_key(self) -> list[Any]:
        """Return what decides its pictures beside the settings of a render: its content, its pairing, its extractor."""
        return [self.digest, pairing_record(self.pairing), *([self.extractor.digest] if self.extractor else [])]

    @property
    def is_recurrent(self) -> bool:
        """Whether its last output is a part of its next input."""
        return bool(self.record and self.record.memory)

    @property
    def has_codes(self) -> bool:
        """Whether it has many looks, each of which is a code."""
        return self.record is not None and self.record.code_size > 0

    @property
    def maps_colours(self) -> bool:
        """Whether its pixels depend on the source's at the same places alone: it cannot flicker by itself."""
        return self.record is None or (self.record.generator["name"] == "colour-map" and self.extractor is None)

    @property
    def optimises(self) -> bool:
        """Whether it optimises each frame, for seconds or minutes."""
        return self.record is not None and self.record.generator["name"] == "optimised"

    def engine_for(self, wanted: str) -> str:
        """Return a ``rendering.engine``: for auto torch, where no other one can run it.

        Raises UsageError for a grade in ONNX Runtime, whose files have no look-up in three dimensions.
        """
        name = self.record.generator["name"] if self.record else ""
        if name == "colour-map" and wanted == "onnx":
            raise UsageError("--engine onnx", f"'{self.name}' is a grade, which it cannot run", "leave it out")
        return "torch" if name in ("optimised", "colour-map", ONNX_GRAPH) and wanted == "auto" else wanted

    def working_size(self, wanted: str, source: tuple[int, int]) -> tuple[int, int]:
        """Return the (width, height) at which the model runs on a ``source`` of that size, for a ``rendering.size``."""
        factor = self.pairing.upscale_factor
        if wanted == "trained":
            size = Size(short=self.record.size) if self.record and not self.pairing.at_source_size else AS_STORED
        else:
            size = parse_size(wanted)
        width, height = size.of(*source)
        return width * factor, height * factor

    def input_size(self, wanted: str, source: tuple[int, int]) -> tuple[int, int]:
        """Return the (width, height) of the network's input, as ``working_size``."""
        return self.working_size(wanted, source)

    def load_generator(self) -> tuple[Any, ModelRecord]:
        """Build its generator on the CPU; not of the identity model. Raises ModelError."""
        assert self.path is not None
        return load_generator(self.path, self.part)


def load_model(name: str, context: Context, changes: Mapping[str, Any] | None = None) -> LoadedModel:
    """Find a model, and the extractor that makes its input, where its pairing has one.

    A change of the pairing's ``model`` says where that lies; it is no other one. Raises ModelError where there is no
    valid one, UsageError on changes that do not fit.
    """
    look = _found(name, context, dict(changes or {}))
    if look.pairing.extraction is None:  # raises at once for an unknown setting
        return look
    place = look.changes.pop("model", "")
    extraction = look.pairing.extraction
    if not place and look.record is not None and look.record.extractor:
        return replace(look, extractor=_embedded(look, extraction))
    if not place and extraction.digest:
        assert look.path is not None  # the identity model has no such pairing
        place = str(find_extractor(extraction, look.path.parent, context.cache.digest))
    return replace(look, extractor=load_extractor(extraction, context, place))


def load_extractor(wanted: Extraction, context: Context, place: str = "") -> LoadedModel:
    """Return the network that makes a picture of each frame.

    ``place``: its file, where that is not of the name in ``wanted``. Raises ModelError where it is missing, has other
    content or cannot be one, UsageError where nobody named it.
    """
    if not wanted.model:
        remedy = "name it: --set pairing.model=FILE, as in --set pairing.model=hed.onnx"
        raise UsageError("pairing 'model'", "it needs a network that makes the input of a frame", remedy)
    found = _found(place or wanted.model, context, {}, "extractor")
    if found.path is None:
        raise ModelError(f"model '{found.name}'", "it returns the frame, and makes nothing of it", "name a network")
    check_digest(found.path, file_digest(found.path, context.cache.digest), wanted)
    return _checked(found)


def _found(name: str, context: Context, changes: Table, part: Part = "model") -> LoadedModel:
    path = find_model(name)
    try:
        if path is None:
            return LoadedModel(None, IDENTITY, IDENTITY, None, changes)
        record = read_record(path, part)
        return LoadedModel(path, _digest(path, record, context), path.stem, record, changes, part=part)
    except PermissionError:
        raise ModelError(str(path), "permission denied", "make the file readable") from None


def _embedded(look: LoadedModel, extraction: Extraction) -> LoadedModel:
    assert look.path is not None  # it has a record
    record = read_record(look.path, "embedded")
    # Not the digest on record, which a stranger wrote: pictures of another network are cached under that.
    digest = digest_of(["embedded", record.to_json()])  # with the digest of its weights, which is checked
    return _checked(LoadedModel(look.path, digest, extraction.model, record, part="embedded"))


def _checked(extractor: LoadedModel) -> LoadedModel:
    remembers, optimises = extractor.is_recurrent, extractor.optimises
    check_extractor(extractor.name, extractor.pairing, remembers=remembers, optimises=optimises)
    return extractor


def _digest(path: Path, record: ModelRecord, context: Context) -> str:
    """Return what decides a model's pictures: its file, and, of another tool's, all its files and what is made of them.

    What lies beside such a file, as options do, may change what is made of it.
    """
    if not record.origin:
        return context.cache.digest(path)
    return digest_of([file_digest(path, context.cache.digest), record.to_json()])


def load_engine(look: LoadedModel, settings: RenderingSettings, context: Context, batch: int | None = None) -> Engine:
    """Return the engine that runs the look, ``batch`` pictures at once; None: as many as suit the device.

    Raises ModelError, DeviceError, UsageError.
    """
    if look.path is None:
        return IdentityEngine()
    from vidtrans.inference.compiled import choose_engine
    from vidtrans.inference.device import resolve_device

    device = resolve_device(context.device)
    name = choose_engine(look.engine_for(settings.engine), device, settings.precision)
    wanted = (look.digest, device.name, settings.precision, name, str(batch or ""))
    if wanted not in context.engines:  # many pictures, one engine
        context.engines[wanted] = ENGINES.load(name)(look.load_generator()[0], device, settings.precision, batch)
    engine: Engine = context.engines[wanted]
    return engine


def find_extractor(wanted: Extraction, folder: Path, digest: Callable[[Path], str], remedy: str = PLACE) -> Path:
    """Return the file with the content that ``wanted`` names, looked for by its name first, then by content alone.

    Args:
        wanted: what a pairing on record says; the digest is known.
        folder: where it is looked for before the folders of models: that of the model.
        digest: returns the SHA-256 of a file's content.
        remedy: what is to be done where it is missing.

    Raises:
        ModelError: it is in none of them.
    """
    # A record is a stranger's: only the last part of the name counts, so nothing outside of the folders is read.
    name, folders = Path(wanted.model).name, list(dict.fromkeys([folder, *model_folders()]))
    named = [path for place in folders for path in sorted(place.glob(f"{glob.escape(name)}.*"))] if name else []
    others = [path for place in folders for ending in suffixes() for path in sorted(place.glob(f"*{ending}"))]
    for path in dict.fromkeys([*named, *others]):
        with suppress(OSError, ModelError):
            if path.is_file() and file_digest(path, digest) == wanted.digest:
                return path
    raise ModelError(
        f"network '{wanted.model}'",
        f"it makes the input, and no file here has its content (SHA-256 {wanted.digest[:SHOWN_DIGITS]}…)",
        remedy,
    )


def file_digest(path: Path, digest: Callable[[Path], str]) -> str:
    """Return the SHA-256 (hex) of a model file's content, with that of the files beside it that belong to it.

    ``digest`` returns that of one file. Raises ModelError where it is no model file.
    """
    digests = [digest(file) for file in load_format(format_of(path)).files(path)]
    return digests[0] if len(digests) == 1 else digest_of(digests)


def check_digest(path: Path, found: str, wanted: Extraction) -> None:
    """Raise ModelError where a file has another content than the one that is wanted."""
    if wanted.digest and found != wanted.digest:
        theirs, its = wanted.digest[:SHOWN_DIGITS], found[:SHOWN_DIGITS]
        why = f"its content (SHA-256 {its}…) is not that of the network '{wanted.model}' ({theirs}…) that is asked for"
        raise ModelError(str(path), why, "give the file that the dataset was made with")


def check_extractor(name: str, pairing: Pairing, *, remembers: bool = False, optimises: bool = False) -> None:
    """Raise ModelError where a model does not make its picture of one frame alone, in one pass."""
    reasons = {
        "its own input is made by another network": pairing.extraction is not None,
        "it looks at several frames": pairing.offsets != (0,),
        "it goes by a clock": pairing.has_clock,
        "it paints each frame from the one before": remembers,
        "its input is a folder of guides": bool(pairing.guides),
        "it looks at a mask": pairing.uses_mask,
        "it puts pixels of the frame back into its pictures": pairing.finishes,
        "it optimises each frame, for seconds or minutes": optimises,
    }
    if why := next((reason for reason, applies in reasons.items() if applies), ""):
        remedy = "choose one that makes a picture of a single frame and of nothing else"
        raise ModelError(f"model '{name}'", f"it cannot make the input of another: {why}", remedy)
