"""A model that is ready to render: find its file by name, read its record, and load its extractor and engine."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.files import canonical_json, digest_of
from vidtrans.core.settings import SOURCE_SIZE, Size, Table, parse_size
from vidtrans.core.threads import import_torch
from vidtrans.inference import ENGINES
from vidtrans.inference.engine import Engine, IdentityEngine
from vidtrans.models.formats import FORMATS, detect_format, load_format, model_suffixes
from vidtrans.models.model_file import IDENTITY, ModelRole, find_model, load_generator, model_folders, read_record
from vidtrans.models.model_record import ModelRecord
from vidtrans.networks import ONNX_GRAPH
from vidtrans.pairing.base import Extraction, Pairing
from vidtrans.pairing.pairing_records import make_pairing, pairing_record
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context

MESSAGE_DIGITS = 12  # Number of hex digits of a digest that messages show
# Largest number of engines in a context's cache: each clip of a batch may have its own model and extractor
MAX_ENGINES = 4
# Advice in errors about a missing extractor
EXTRACTOR_REMEDY = "give its file with --set pairing.model=PATH, or put it into models/ or beside the model"

# Kind of model for messages, by the name of a generator that ONNX Runtime cannot run
NOT_IN_ONNX = {"colour-map": "grade", "predicted-style": "look"}
OWN_SIZES = ("auto", "trained")  # Values of the setting ``rendering.size`` that stand for a size in the model's record


@dataclass(frozen=True)
class LoadedModel:
    """A model that is found and read: its file and record (None for the identity), its digest and its name."""

    path: Path | None
    digest: str
    name: str
    record: ModelRecord | None
    changes: Table = field(default_factory=dict)  # Settings of the pairing that the user has changed
    extractor: LoadedModel | None = None  # The network that makes the model's input, if the pairing needs one
    role: ModelRole = "model"  # Which network of the file this is, see ``model_file.ModelRole``
    # An object that exists as long as the file in the cache or temporary folder must not be deleted.
    hold: object = field(default=None, repr=False, compare=False)

    @property
    def pairing(self) -> Pairing:
        """Return the pairing, which makes the network's input from a raw frame.

        Raises UsageError for invalid ``changes``.
        """
        if self.record is None:
            return make_pairing("aligned", dict(self.changes))
        resolved = make_pairing(self.record.pairing["name"], {**self.record.pairing["settings"], **self.changes})
        if resolved.in_channels != self.record.in_channels:
            raise UsageError(
                f"--set pairing.… {self.changes}",
                f"the input's channels would be {resolved.in_channels}, '{self.name}' takes {self.record.in_channels}",
                "change other settings, or train a model with these",
            )
        return resolved

    @property
    def parts(self) -> tuple[LoadedModel, ...]:
        """Return the models in rendering order: only this model, or the models of a chain."""
        return (self,)

    def with_changes(self, changes: Table) -> LoadedModel:
        """Return the model with further changed settings of its pairing."""
        return replace(self, changes={**self.changes, **changes}) if changes else self

    @property
    def is_identity(self) -> bool:
        """Return whether the output is the unchanged frame."""
        return all(model.path is None for model in self.parts)

    def check_renders(self) -> None:
        """Raise UsageError for a model with a position in its training clip as input, which other clips do not have."""
        if self.pairing.has_conditions:
            why = "it follows its own clip, not the frames of another"
            raise UsageError(f"model '{self.name}'", why, "use vidtrans dream")

    def for_key(self) -> list[Any]:
        """Return digest, pairing and extractor's digest, which identify the model in cache keys."""
        return [self.digest, pairing_record(self.pairing), *([self.extractor.digest] if self.extractor else [])]

    @property
    def padding_key(self) -> dict[str, int]:
        """Return the version of the padding of other tools' networks, for cache keys; {} for vidtrans's networks."""
        return {"imported": 2} if any(model.record and model.record.origin for model in self.parts) else {}

    @property
    def is_recurrent(self) -> bool:
        """Return whether the model's previous output is part of its next input."""
        return bool(self.record and self.record.memory)

    @property
    def has_codes(self) -> bool:
        """Return whether the model has many styles, each selected by a style code."""
        return self.record is not None and self.record.code_size > 0

    @property
    def maps_colours(self) -> bool:
        """Return whether each output pixel depends only on the same pixel of the source, which excludes flicker."""
        names = (self.record.generator["name"], self.record.origin.get("exported")) if self.record else ()
        return self.record is None or ("colour-map" in names and self.extractor is None)

    @property
    def optimises(self) -> bool:
        """Return whether the model optimises each frame, which takes seconds or minutes per frame."""
        return self.record is not None and self.record.generator["name"] == "optimised"

    def engine_for(self, engine: str) -> str:
        """Return the engine for ``rendering.engine``: 'torch' instead of 'auto' if only torch can run the model.

        Raises UsageError for models that ONNX Runtime cannot run: a grade, which is a 3D look-up table, and a predicted
        style, whose composed convolutions torch cannot export.
        """
        name = self.record.generator["name"] if self.record else ""
        if engine == "onnx" and (kind := NOT_IN_ONNX.get(name)):
            why = f"'{self.name}' is a {kind}, which ONNX Runtime cannot run"
            raise UsageError("--engine onnx", why, "leave out --engine")
        return "torch" if name in ("optimised", *NOT_IN_ONNX, ONNX_GRAPH) and engine == "auto" else engine

    def working_size(self, size: str, source: tuple[int, int]) -> tuple[int, int]:
        """Return the working (width, height) for a source's (width, height) and a value of ``rendering.size``."""
        factor = self.pairing.upscale_factor
        keeps_source_size = self.pairing.at_source_size and size in OWN_SIZES
        width, height = (SOURCE_SIZE if keeps_source_size else self.size_for(size)).of(*source)
        return width * factor, height * factor

    def size_for(self, size: str) -> Size:
        """Return the Size for a value of ``rendering.size``; 'auto' and 'trained' are sizes in the model's record."""
        if size not in OWN_SIZES:
            return parse_size(size)
        if self.record is None:
            return SOURCE_SIZE
        least = self.record.least_size if self.pairing.upscale_factor == 1 else 0
        return Size(short=self.record.size if size == "trained" else self.record.auto_size, least=least)

    def input_size(self, size: str, source: tuple[int, int]) -> tuple[int, int]:
        """Return the (width, height) of the network's input for a source's (width, height) and a ``rendering.size``."""
        return self.working_size(size, source)

    def load_generator(self) -> tuple[Any, ModelRecord]:
        """Build the generator on the CPU and return it with its record. Raises ModelError."""
        assert self.path is not None
        return load_generator(self.path, self.role)


def load_model(name: str, context: Context, changes: Mapping[str, Any] | None = None) -> LoadedModel:
    """Find a model, and its extractor (the network that makes the model's input) if the pairing needs one.

    A ``model`` in ``changes`` is the path of the extractor's file, whose content must match the record. Raises
    ModelError if no valid file is found, UsageError for changes that do not fit the pairing.
    """
    model = _find_model(name, context, dict(changes or {}))
    if model.pairing.extraction is None:  # ``pairing`` raises UsageError for an unknown setting
        return model
    extractor_path = model.changes.pop("model", "")
    extraction = model.pairing.extraction
    if not extractor_path and model.record is not None and model.record.extractor:
        assert model.path is not None  # Only the identity model has no path, and it has no record
        record = read_record(model.path, "embedded")
        # Compute the digest instead of trusting the record's, since it is part of cache keys.
        digest = digest_of(["embedded", record.to_json(), *record.plugins])
        embedded = LoadedModel(model.path, digest, extraction.model, record, role="embedded")
        return replace(model, extractor=_check_extractor(embedded))
    if not extractor_path and extraction.digest:
        assert model.path is not None  # The identity model's pairing needs no extractor
        extractor_path = str(find_extractor(extraction, model.path.parent, context.cache.digest))
    return replace(model, extractor=load_extractor(extraction, context, extractor_path))


def load_extractor(extraction: Extraction, context: Context, path: str = "") -> LoadedModel:
    """Return the extractor, the network that makes another model's input, from ``path`` or the file in ``extraction``.

    Raises ModelError if the file is missing, has other content or cannot serve as an extractor, UsageError if
    ``extraction`` names no model.
    """
    if not extraction.model:
        remedy = "name one: pairing.model=FILE, or sheet --pairing model:FILE"
        raise UsageError("pairing 'model'", "it needs a network that makes the input from each frame", remedy)
    model = _find_model(path or extraction.model, context, {}, "extractor")
    if model.path is None:
        remedy = "give a network's file: --set pairing.model=FILE"
        raise ModelError(f"model '{model.name}'", "it returns the frame unchanged", remedy)
    digest = file_digest(model.path, context.cache.digest)
    if extraction.digest and digest != extraction.digest:
        expected = f"'{extraction.model}' ({extraction.digest[:MESSAGE_DIGITS]}…)"
        why = f"its content (SHA-256 {digest[:MESSAGE_DIGITS]}…) differs from the required network {expected}"
        raise ModelError(str(model.path), why, "give the file that the dataset was made with")
    return _check_extractor(model)


def _find_model(name: str, context: Context, changes: Table, role: ModelRole = "model") -> LoadedModel:
    """Return the model of this name or file, without its extractor. Raises ModelError.

    ``changes``: the changed settings of its pairing; ``role``: which network of the file is used.
    """
    path = find_model(name)
    try:
        if path is None:
            return LoadedModel(None, IDENTITY, IDENTITY, None, changes)
        record = read_record(path, role)
        return LoadedModel(path, _digest(path, record, context), path.stem, record, changes, role=role)
    except PermissionError:
        raise ModelError(str(path), "permission denied", "make the file readable") from None


def _check_extractor(extractor: LoadedModel) -> LoadedModel:
    """Return the extractor. Raises ModelError if it does not make a picture from a single frame in one pass."""
    pairing = extractor.pairing
    reasons = {
        "its own input is made by another network": pairing.extraction is not None,
        "its input includes several frames": pairing.offsets != (0,),
        "its input includes a position in its clip": pairing.has_conditions,
        "its input includes its previous output": extractor.is_recurrent,
        "its input is a folder of guides": bool(pairing.guides),
        "its input includes a mask": pairing.uses_mask,
        "it puts pixels of the frame back into its pictures": pairing.finishes,
        "it optimises each frame, for seconds or minutes": extractor.optimises,
    }
    if why := next((reason for reason, applies in reasons.items() if applies), ""):
        remedy = "choose a model whose only input is a single frame"
        raise ModelError(f"model '{extractor.name}'", f"it cannot make the input of another model: {why}", remedy)
    return extractor


def _digest(path: Path, record: ModelRecord, context: Context) -> str:
    """Return the digest that identifies a model in cache keys.

    The digest covers the file and the plug-ins that read it, build its network or make its input. For another tool's
    model it also covers the record, which depends on option files next to the model file.
    """
    plugins = [*FORMATS.origin(detect_format(path)).values(), *record.plugins]
    if not plugins and not record.origin:
        return context.cache.digest(path)
    return digest_of([file_digest(path, context.cache.digest), record.to_json(), *plugins])


def load_engine(model: LoadedModel, settings: RenderingSettings, context: Context, batch: int | None = None) -> Engine:
    """Return a model's engine, which runs ``batch`` pictures at once; None selects the batch size automatically.

    Raises ModelError, DeviceError, UsageError.
    """
    if model.path is None:
        return IdentityEngine()
    import_torch()
    from vidtrans.inference.compiled import choose_engine
    from vidtrans.inference.device import resolve_device

    device = resolve_device(context.device)
    name = choose_engine(model.engine_for(settings.engine), device, settings.precision)
    key, engines = (model.digest, device.name, settings.precision, name, str(batch or "")), context.engines
    engine: Engine | None = engines.pop(key, None)
    if engine is None:
        while len(engines) >= MAX_ENGINES:
            del engines[next(iter(engines))]
        engine = ENGINES.load(name)(model.load_generator()[0], device, settings.precision, batch)
        engine.identity |= {key: canonical_json(origin) for key, origin in ENGINES.origin(name).items()}
    engines[key] = engine  # Put the engine last: the first engine is the least recently used
    return engine


def find_extractor(
    extraction: Extraction, folder: Path, digest: Callable[[Path], str], remedy: str = EXTRACTOR_REMEDY
) -> Path:
    """Return the file of an extractor, the network that makes a model's input, by the digest in ``extraction``.

    Files with the name in ``extraction`` are compared first.
    ``folder``: the model's folder, searched before ``model_folders``. ``digest`` returns the SHA-256 of a file's
    content. Raises ModelError, with the ``remedy``, if no file in these folders has that content.
    """
    # The record is untrusted: use only the base name, so that no file outside of the folders is read.
    name, folders = Path(extraction.model).name, list(dict.fromkeys([folder, *model_folders()]))
    named = [path for directory in folders for path in sorted(directory.glob(f"{glob.escape(name)}.*"))] if name else []
    others = [
        path for directory in folders for suffix in model_suffixes() for path in sorted(directory.glob(f"*{suffix}"))
    ]
    for path in dict.fromkeys([*named, *others]):
        with suppress(OSError, ModelError):
            if path.is_file() and file_digest(path, digest) == extraction.digest:
                return path
    raise ModelError(
        f"network '{extraction.model}'",
        "it makes the model's input, and no file with its content was found "
        f"(SHA-256 {extraction.digest[:MESSAGE_DIGITS]}…)",
        remedy,
    )


def file_digest(path: Path, digest: Callable[[Path], str]) -> str:
    """Return the SHA-256 (hex) of a model file's content, combined with those of its auxiliary files.

    ``digest`` returns the SHA-256 of a single file. Raises ModelError if ``path`` is not a model file.
    """
    digests = [digest(file) for file in load_format(detect_format(path)).files(path)]
    return digests[0] if len(digests) == 1 else digest_of(digests)
