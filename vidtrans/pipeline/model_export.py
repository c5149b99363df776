"""``vidtrans model export``: a model in, a file for other programs out."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from vidtrans.errors import ModelError, UsageError
from vidtrans.models.exporting import EXPORTS, load_export
from vidtrans.models.exporting.base import ExportSubject, check_exports
from vidtrans.models.loaded_model import LoadedModel, load_model
from vidtrans.models.model_file import load_generator, read_record
from vidtrans.output.target import produce, refuse_link
from vidtrans.pairing.look import Look, look_conditions
from vidtrans.rendering.code_conditions import CodeConditions
from vidtrans.requests import ExportRequest
from vidtrans.session import Context
from vidtrans.settings import Table, Time

VERSION = 1
STROKE_SIZE = 0.5


def export_model(request: ExportRequest, context: Context) -> Table:
    """Write a model in another format, once it was compared with it, and return what is reported of it.

    Raises UsageError for a model or options that the format does not take, ModelError.
    """
    model = load_model(request.model, context)
    path = model.path
    if path is None:
        raise ModelError(f"model '{model.name}'", "it is built in and has no network", "name a model file")
    check_exports(model.name, read_record(path), model.pairing, whole=request.whole)
    conditions = _conditions(model, request)
    output = request.output or refuse_link(Path(f"{model.name}{EXPORTS[request.format].suffix}"))
    key = {
        "command": "model export",
        "version": VERSION,
        "model": model.digest,
        "name": model.name,
        "format": request.format,
        "whole": request.whole,
        "conditions": list(conditions),
    }

    def make(temporary: Path) -> Table:
        generator, record = load_generator(path)
        subject = ExportSubject(model.name, generator, record, model.pairing, request.whole, conditions)
        report = load_export(request.format).write(temporary, subject)
        return {
            "frames": 0,
            "format": request.format,
            "whole": request.whole,
            "bytes": temporary.stat().st_size,
            **report,
        }

    return produce(context, output, key, [path], make)


def _conditions(model: LoadedModel, request: ExportRequest) -> tuple[float, ...]:
    """Return what a whole file tells a model with looks. Raises UsageError where that does not fit the model."""
    pairing = model.pairing
    if isinstance(pairing, Look):
        stroke = STROKE_SIZE if request.stroke_size is None else request.stroke_size
        return look_conditions(pairing, request.look, stroke) if request.whole else ()
    if model.has_codes and request.stroke_size is None:
        return _code_of(model, request.look) if request.whole else ()
    if request.look or request.stroke_size is not None:
        option = "--look" if request.look else "--stroke-size"
        raise UsageError(option, f"'{model.name}' was not made by 'vidtrans look'", "leave it out")
    return ()


def _code_of(model: LoadedModel, look: str) -> tuple[float, ...]:
    """Return the values of the planes, 0 to 1, of a number's or a picture's look. Raises UsageError, MediaError."""

    def refuse(moment: Time) -> Fraction:
        raise UsageError(f"--look '{look}'", "an exported file has one look", "give one number or picture")

    return tuple((CodeConditions(model, look, (0,), refuse).values(0) / 255).tolist())
