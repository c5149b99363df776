"""A model ready to render: its file found by name, its record read, its extractor and engine loaded."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.files import canonical_json, digest_of
from vidtrans.core.settings import AS_STORED, Size, Table, parse_size
from vidtrans.core.threads import import_torch
from vidtrans.inference import ENGINES
from vidtrans.inference.engine import Engine, IdentityEngine
from vidtrans.models.formats import FORMATS, format_of, load_format, suffixes
from vidtrans.models.model_file import IDENTITY, Part, find_model, load_generator, model_folders, read_record
from vidtrans.models.model_record import ModelRecord
from vidtrans.networks import ONNX_GRAPH
from vidtrans.pairing.base import Extraction, Pairing
from vidtrans.pairing.pairing_records import make_pairing, pairing_record
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context

SHOWN_DIGITS = 12  # of a digest, in messages
MOST_ENGINES = 4  # in a context: a batch's clips may have a model each, which may have an extractor
PLACE = "give its file with --set pairing.model=PATH, or put it into models/ or beside the model"

NOT_IN_ONNX = {"colour-map": "grade", "predicted-style": "look"}  # networks
OWN_SIZES = ("auto", "trained")  # values of ``rendering.size`` that a model decides


@dataclass(frozen=True)
class LoadedModel:
    """A model that was found: its file and record (None for identity), digest and name."""

    path: Path | None
    digest: str
    name: str
    record: ModelRecord | None
    changes: Table = field(default_factory=dict)  # pairing settings that the render overrides
    extractor: LoadedModel | None = None  # the network that makes the model's input, if its pairing uses one
    part: Part = "model"  # its role and location, see ``model_file.read_record``
    # Protects its file from deletion, if that is in the cache or in a temporary folder.
    hold: object = field(default=None, repr=False, compare=False)

    @property
    def pairing(self) -> Pairing:
        """The pairing, which makes the network's input from a raw frame. Raises UsageError for unfit ``changes``."""
        if self.record is None:
            return make_pairing("aligned", dict(self.changes))
        made = make_pairing(self.record.pairing["name"], {**self.record.pairing["settings"], **self.changes})
        if made.in_channels != self.record.in_channels:
            raise UsageError(
                f"--set pairing.… {self.changes}",
                f"the input's channels would be {made.in_channels}, '{self.name}' takes {self.record.in_channels}",
                "change other settings, or train a model with these",
            )
        return made

    @property
    def parts(self) -> tuple[LoadedModel, ...]:
        """The models that are rendered one after the other: this model, or the models of a chain."""
        return (self,)

    def with_changes(self, changes: Table) -> LoadedModel:
        """Return the model with other settings of its pairing."""
        return replace(self, changes={**self.changes, **changes}) if changes else self

    @property
    def is_identity(self) -> bool:
        """Whether the model returns its input unchanged."""
        return all(part.path is None for part in self.parts)

    def check_renders(self) -> None:
        """Raise UsageError for a model that is told a position in its own clip, because another has none."""
        if self.pairing.is_told:
            why = "it follows its own clip, not the frames of another"
            raise UsageError(f"model '{self.name}'", why, "use vidtrans dream")

    def for_key(self) -> list[Any]:
        """Return the values that identify the model in cache keys: digest, pairing and the extractor's digest."""
        return [self.digest, pairing_record(self.pairing), *([self.extractor.digest] if self.extractor else [])]

    @property
    def padding_key(self) -> dict[str, int]:
        """The version of the padding for networks of other tools, for cache keys; {} for vidtrans's own."""
        return {"imported": 2} if any(part.record and part.record.origin for part in self.parts) else {}

    @property
    def is_recurrent(self) -> bool:
        """Whether the model's last output is part of its next input."""
        return bool(self.record and self.record.memory)

    @property
    def has_codes(self) -> bool:
        """Whether the model has many looks, each selected by a style code."""
        return self.record is not None and self.record.code_size > 0

    @property
    def maps_colours(self) -> bool:
        """Whether each output pixel depends only on the source pixel at its position, which rules out flicker."""
        names = (self.record.generator["name"], self.record.origin.get("exported")) if self.record else ()
        return self.record is None or ("colour-map" in names and self.extractor is None)

    @property
    def optimises(self) -> bool:
        """Whether the model optimises each frame, which takes seconds or minutes per frame."""
        return self.record is not None and self.record.generator["name"] == "optimised"

    def engine_for(self, wanted: str) -> str:
        """Return the ``rendering.engine`` to use: 'torch' instead of 'auto' if only torch can run the model.

        Raises UsageError for what ONNX Runtime cannot run: a grade, which is a three-dimensional look-up table, and a
        look, whose composed convolutions torch cannot write for it.
        """
        name = self.record.generator["name"] if self.record else ""
        if wanted == "onnx" and (kind := NOT_IN_ONNX.get(name)):
            why = f"'{self.name}' is a {kind}, which ONNX Runtime cannot run"
            raise UsageError("--engine onnx", why, "leave out --engine")
        return "torch" if name in ("optimised", *NOT_IN_ONNX, ONNX_GRAPH) and wanted == "auto" else wanted

    def working_size(self, wanted: str, source: tuple[int, int]) -> tuple[int, int]:
        """Return the model's working (width, height) for a source (width, height) and a ``rendering.size``."""
        factor = self.pairing.upscale_factor
        follows = self.pairing.at_source_size and wanted in OWN_SIZES
        width, height = (AS_STORED if follows else self.size_for(wanted)).of(*source)
        return width * factor, height * factor

    def size_for(self, wanted: str) -> Size:
        """Return the size that a ``rendering.size`` names; the model's record decides ``auto`` and ``trained``."""
        if wanted not in OWN_SIZES:
            return parse_size(wanted)
        if self.record is None:
            return AS_STORED
        least = self.record.least_size if self.pairing.upscale_factor == 1 else 0
        return Size(short=self.record.size if wanted == "trained" else self.record.auto_size, least=least)

    def input_size(self, wanted: str, source: tuple[int, int]) -> tuple[int, int]:
        """Return the (width, height) of the network's input; the arguments are those of ``working_size``."""
        return self.working_size(wanted, source)

    def load_generator(self) -> tuple[Any, ModelRecord]:
        """Build the model's generator on the CPU; the identity model has none. Raises ModelError."""
        assert self.path is not None
        return load_generator(self.path, self.part)


def load_model(name: str, context: Context, changes: Mapping[str, Any] | None = None) -> LoadedModel:
    """Find a model, and the extractor that makes its input if its pairing uses one.

    A ``model`` in ``changes`` gives the extractor's file; its content must match the record. Raises ModelError if no
    valid file is found, UsageError for changes that do not fit the pairing.
    """
    look = _found(name, context, dict(changes or {}))
    if look.pairing.extraction is None:  # raises at once for an unknown setting
        return look
    place = look.changes.pop("model", "")
    extraction = look.pairing.extraction
    if not place and look.record is not None and look.record.extractor:
        assert look.path is not None  # it has a record
        record = read_record(look.path, "embedded")
        # Not the digest on record, which a stranger wrote (its weights' digest is checked): it is in cache keys.
        digest = digest_of(["embedded", record.to_json(), *record.plugins])
        embedded = LoadedModel(look.path, digest, extraction.model, record, part="embedded")
        return replace(look, extractor=_checked(embedded))
    if not place and extraction.digest:
        assert look.path is not None  # the identity model has no such pairing
        place = str(find_extractor(extraction, look.path.parent, context.cache.digest))
    return replace(look, extractor=load_extractor(extraction, context, place))


def load_extractor(wanted: Extraction, context: Context, place: str = "") -> LoadedModel:
    """Return the extractor: the network that turns each frame into the input of another model.

    ``place``: its file, if not the one named in ``wanted``. Raises ModelError if the file is missing, has other
    content or cannot serve as an extractor, UsageError if ``wanted`` names no model.
    """
    if not wanted.model:
        remedy = "name one: pairing.model=FILE, or sheet --pairing model:FILE"
        raise UsageError("pairing 'model'", "it needs a network that makes the input from each frame", remedy)
    found = _found(place or wanted.model, context, {}, "extractor")
    if found.path is None:
        remedy = "give a network's file: --set pairing.model=FILE"
        raise ModelError(f"model '{found.name}'", "it returns the frame unchanged", remedy)
    digest = file_digest(found.path, context.cache.digest)
    if wanted.digest and digest != wanted.digest:
        theirs = f"'{wanted.model}' ({wanted.digest[:SHOWN_DIGITS]}…)"
        why = f"its content (SHA-256 {digest[:SHOWN_DIGITS]}…) differs from the required network {theirs}"
        raise ModelError(str(found.path), why, "give the file that the dataset was made with")
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


def _checked(extractor: LoadedModel) -> LoadedModel:
    check_extractor(extractor.name, extractor.pairing, remembers=extractor.is_recurrent, optimises=extractor.optimises)
    return extractor


def _digest(path: Path, record: ModelRecord, context: Context) -> str:
    """Return the digest that identifies a model in cache keys.

    It covers the file; for another tool's model also its record, since files beside it (options) change that; and the
    installed plug-ins that read it, build its network or make its input.
    """
    plugins = [*FORMATS.origin(format_of(path)).values(), *record.plugins]
    if not plugins and not record.origin:
        return context.cache.digest(path)
    return digest_of([file_digest(path, context.cache.digest), record.to_json(), *plugins])


def load_engine(look: LoadedModel, settings: RenderingSettings, context: Context, batch: int | None = None) -> Engine:
    """Return a model's engine for ``batch`` pictures, None: as suits. Raises ModelError, DeviceError, UsageError."""
    if look.path is None:
        return IdentityEngine()
    import_torch()
    from vidtrans.inference.compiled import choose_engine
    from vidtrans.inference.device import resolve_device

    device = resolve_device(context.device)
    name = choose_engine(look.engine_for(settings.engine), device, settings.precision)
    wanted, engines = (look.digest, device.name, settings.precision, name, str(batch or "")), context.engines
    engine: Engine | None = engines.pop(wanted, None)  # many pictures, one engine
    if engine is None:
        while len(engines) >= MOST_ENGINES:
            del engines[next(iter(engines))]
        engine = ENGINES.load(name)(look.load_generator()[0], device, settings.precision, batch)
        engine.identity |= {key: canonical_json(origin) for key, origin in ENGINES.origin(name).items()}
    engines[wanted] = engine  # as the last one, so that the first one is the one that is unused for the longest time
    return engine


def find_extractor(wanted: Extraction, folder: Path, digest: Callable[[Path], str], remedy: str = PLACE) -> Path:
    """Return the extractor file with the digest in ``wanted``, searched by name first, then by content alone.

    ``folder``: the model's, searched before those of ``model_folders``. ``digest`` returns the SHA-256 of a file's
    content. Raises ModelError, with the ``remedy``, if no file in these folders has that content.
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
        f"it makes the model's input, and no file with its content was found (SHA-256 {wanted.digest[:SHOWN_DIGITS]}…)",
        remedy,
    )


def file_digest(path: Path, digest: Callable[[Path], str]) -> str:
    """Return the SHA-256 (hex) of a model file's content, combined with the files beside it that belong to it.

    ``digest`` returns the SHA-256 of a single file. Raises ModelError if ``path`` is not a model file.
    """
    digests = [digest(file) for file in load_format(format_of(path)).files(path)]
    return digests[0] if len(digests) == 1 else digest_of(digests)


def check_extractor(name: str, pairing: Pairing, *, remembers: bool = False, optimises: bool = False) -> None:
    """Raise ModelError if a model cannot be an extractor, which makes a picture from one frame in one pass.

    ``remembers``: it is recurrent; ``optimises``: it optimises each frame instead of one pass.
    """
    reasons = {
        "its own input is made by another network": pairing.extraction is not None,
        "its input includes several frames": pairing.offsets != (0,),
        "its input includes a position in its clip": pairing.is_told,
        "its input includes its previous output": remembers,
        "its input is a folder of guides": bool(pairing.guides),
        "its input includes a mask": pairing.uses_mask,
        "it puts pixels of the frame back into its pictures": pairing.finishes,
        "it optimises each frame, for seconds or minutes": optimises,
    }
    if why := next((reason for reason, applies in reasons.items() if applies), ""):
        remedy = "choose a model whose only input is a single frame"
        raise ModelError(f"model '{name}'", f"it cannot make the input of another model: {why}", remedy)
