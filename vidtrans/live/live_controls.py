"""The controls of the live page, and descriptions of controls and models for the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from vidtrans.core.errors import UsageError
from vidtrans.core.options import Option, Use, declaring, option, option_of, options_of, used
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import SMALLEST_SIDE, Table, from_table, to_table
from vidtrans.curves.curve import Curve
from vidtrans.curves.moving_settings import MovingSettings, shown_name
from vidtrans.dreaming.predictors import predicts_frames
from vidtrans.live import LARGEST_OUTPUT
from vidtrans.live.control_curves import STILL, ControlCurve
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.look_pairing import LookPairing, takes_strokes
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.pipeline.render import RENDER
from vidtrans.pipeline.stage import PictureStage
from vidtrans.strokes.media import medium_names
from vidtrans.strokes.settings import StrokesSettings
from vidtrans.upscaling import STREAM_MODES

LARGEST_SIZE = 1024
NO_MEDIUM = "none"  # the control ``medium`` of pictures that are not painted
MOST_SHOTS = 99  # that are offered to be walked to
OFFERED_LOOKS = 24  # looks to choose from for a model with style codes, which has any number of looks


@dataclass(frozen=True)
class Control(Option):
    """An option that the live page shows under a label, in one of its places."""

    place: str = ""
    label: str = ""


def control(default: Any, place: str, label: str, help: str, **checks: Any) -> Any:  # noqa: ANN401  (of any field)
    """Declare a control; ``checks``: fields of ``Option``."""
    return declaring(Control)(default, help, place=place, label=label, **checks)


# Settings classes whose ``LIVE`` settings are sliders: the class, the prefix of the sliders' names, their place.
SLIDERS: tuple[tuple[type, str, str], ...] = (
    *((stage.Settings, "", "picture" if issubclass(stage, PictureStage) else "look") for stage in RENDER),
    (StrokesSettings, "strokes_", "strokes"),
)


def _sliders() -> type:
    """Return a class with the options of stages, and of strokes, that may change live."""
    made: list[tuple[str, type, Any]] = []
    for cls, prefix, place in SLIDERS:
        for name in used(cls, Use.LIVE):
            given, label = options_of(cls)[name], name.replace("_", " ").capitalize()
            help, (low, high) = given.help.partition("; a curve")[0], given.ends
            slider = control(float(getattr(cls, name)), place, label, help, bounds=(low, high))
            made.append((f"{prefix}{name}", float, slider))
    return dataclasses.make_dataclass("_Sliders", made, frozen=True, kw_only=True)


@dataclass(frozen=True)
class Controls(_sliders()):  # type: ignore[misc]  # whose numbers come from the stages
    """The controls that are the same for every model."""

    model: str = option("", "the model that paints")
    second: str = control("", "picture", "Second model", "a model to cross-fade with; empty: none")
    crossfade: float = control(0.0, "picture", "Cross-fade", "share of the second model's picture", bounds=(0.0, 1.0))
    fade: float = control(
        0.5, "picture", "Fade (s)", "seconds of the fade from one model to another", bounds=(0.0, 30.0)
    )
    size: int = control(
        0,
        "picture",
        "Size",
        "short side in pixels at which the model paints; 0: its training size",
        bounds=(0, LARGEST_SIZE),
    )
    upscale: str = control(
        "luma",
        "picture",
        "Enlarge",
        "how a picture comes to the size of the source: luma (sharp, with the source's light and dark where both "
        "agree), bicubic, or off (pictures have the size at which the model paints)",
        choices=(*STREAM_MODES, "off"),
    )
    output_size: int = control(
        0,
        "picture",
        "Output size",
        "short side in pixels of the pictures, at most the source's; 0: what the device has time for",
        bounds=(0, LARGEST_OUTPUT),
    )
    past: str = control(
        "lerp",
        "past",
        "Past",
        "blending with past pictures: off, lerp (with the last picture), or causal (along the motion, reduces flicker)",
        choices=("off", "lerp", "causal"),
    )
    lerp: float = control(0.5, "past", "Share of the past", "share of the last picture, for lerp", bounds=(0.0, 0.98))
    mirror: bool = option(False, "mirror the source, for a camera that faces you")
    freeze: bool = option(False, "keep painting the source's last frame")
    look: str = control("", "look", "Look", "the look of a model with several looks; empty: the first")
    medium: str = control(
        "",
        "strokes",
        "Medium",
        "the medium in which pictures are painted; empty: the model's own",
        choices=("", NO_MEDIUM, *medium_names()),
    )
    zoom: float = control(1.0, "dream", "Zoom", "dream: zoom factor per frame", bounds=(0.9, 1.1))
    rotate: float = control(0.0, "dream", "Rotate", "dream: rotation per frame in degrees", bounds=(-10.0, 10.0))
    pan_x: float = control(
        0.0, "dream", "Pan across", "dream: horizontal motion per frame, as a share of the width", bounds=(-0.05, 0.05)
    )
    pan_y: float = control(
        0.0, "dream", "Pan down", "dream: vertical motion per frame, as a share of the height", bounds=(-0.05, 0.05)
    )
    hue: float = control(0.0, "dream", "Hue", "dream: hue rotation per frame in degrees", bounds=(-20.0, 20.0))
    speed: float = control(
        1.0, "dream", "Speed", "dream with a clock: speed; 1: the clip's own, -1: backwards", bounds=(-4.0, 4.0)
    )
    recall: float = control(
        1.0,
        "dream",
        "Recall",
        "dream with kept frames: how far it goes by the frames of its clip; 0: not at all",
        bounds=(0.0, 1.0),
    )
    wander: float = control(
        0.0,
        "dream",
        "Wander",
        "dream with kept frames: how soon it leaves their order; 0: at the end of a shot",
        bounds=(0.0, 1.0),
    )
    goto: int = control(
        0,
        "dream",
        "Go to shot",
        "dream with kept frames of several shots: the shot that it walks to; 0: none",
        bounds=(0, MOST_SHOTS),
    )
    drive: float = control(
        0.0, "dream", "Drive", "dream: share of the source's frame in the model's input", bounds=(0.0, 1.0)
    )
    dream_fps: float = control(
        12.0, "dream", "Frames/s", "dream: highest number of frames per second", bounds=(1.0, 60.0)
    )

    def of(self, cls: type) -> dict[str, float]:
        """Return the values of a settings class's options that are sliders, by the options' names."""
        return {name: getattr(self, _prefix(cls) + name) for name in used(cls, Use.LIVE)}


def slider_values(settings: MovingSettings, still: Callable[[str, Curve], float]) -> Table:
    """Return the sliders' values that settings give, by the sliders' names. ``still`` returns a curve's one value."""
    cls = type(settings)
    shown = {name: shown_name(cls, name).lstrip("-").replace("-", "_") for name in used(cls, Use.LIVE)}
    return {_prefix(cls) + name: still(words, settings.curve(name)) for name, words in shown.items()}


def _prefix(cls: type) -> str:
    return next(prefix for known, prefix, _ in SLIDERS if issubclass(cls, known))


@dataclass(frozen=True)
class ControlState:
    """The controls, and the pairing settings that override the models' own, by pairing name and setting name.

    ``curves``: those that move controls, by the control's name; the number beside one is where it was before.
    """

    controls: Controls = dataclasses.field(default_factory=Controls)
    pairing: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    curves: Mapping[str, ControlCurve] = dataclasses.field(default_factory=dict)

    def updated(self, values: Mapping[str, object], models: Mapping[str, LoadedModel]) -> ControlState:
        """Return the state with some values changed, by control name. Raises UsageError.

        ``edges.density`` names the setting ``density`` of the pairing ``edges``, which makes a model's input. A text
        for a number is the curve that moves it, until a number comes.
        """
        bounds = _movable(models)
        curves = {name: curve for name, curve in self.curves.items() if name in bounds and name not in values}
        curves |= {n: ControlCurve(n, v, *bounds[n]) for n, v in values.items() if isinstance(v, str) and n in bounds}
        values = {name: value for name, value in values.items() if name not in curves}
        own = {name: value for name, value in values.items() if "." not in name}
        controls = from_table(Controls, to_table(self.controls) | own, "controls")
        for name in (controls.model, controls.second):
            if name and name not in models:
                raise unknown_name("model", name, list(models))
        if 0 < controls.size < SMALLEST_SIDE:
            remedy = f"choose {SMALLEST_SIDE} or more, or 0 for the training size"
            raise UsageError(f"size {controls.size}", "too small", remedy)
        looks = [look for model in models.values() for look in looks_of(model)]
        if controls.look and controls.look not in looks:
            raise unknown_name("look", controls.look, looks)
        pairing = {name: dict(table) for name, table in self.pairing.items()}
        for name, value in values.items():
            if name not in own:
                kind, _, key = name.partition(".")
                pairing.setdefault(kind, {})[key] = _number(name, value, models)
        for kind, table in pairing.items():
            for model in models.values():
                if model.pairing.name == kind:
                    make_pairing(kind, to_table(model.pairing.settings) | table)  # raises where they do not fit
        return ControlState(controls, pairing, curves)

    def moved(self, positions: Mapping[str, float]) -> ControlState:
        """Return the state with numbers in place of curves, by control name; they must be within bounds."""
        pairing = {kind: dict(table) for kind, table in self.pairing.items()}
        for name, value in positions.items():
            kind, dot, key = name.partition(".")
            if dot:
                pairing.setdefault(kind, {})[key] = value
        own = {name: value for name, value in positions.items() if "." not in name}
        return ControlState(dataclasses.replace(self.controls, **own), pairing)  # type: ignore[arg-type]

    def without(
        self, removed: LoadedModel, models: Mapping[str, LoadedModel], former: ControlState | None = None
    ) -> ControlState:
        """Return the state with another of ``models`` where it names the ``removed`` one, and without its look.

        The other one is the first; or, of a ``former`` state, that state's, with the one that it cross-fades with.
        """
        own, values = self.controls, {"model": self.controls.model}
        if own.model == removed.name:
            values = {"model": next(iter(models))}
            if former is not None and former.controls.model in models:
                values = {n: v for n in ("model", "second") if (v := getattr(former.controls, n)) in ("", *models)}
        values |= {"second": ""} if own.second == removed.name else {}
        values |= {"look": ""} if own.look in looks_of(removed) else {}
        return self.updated(values, models)

    def table(self) -> Table:
        """Return all values by name, in the form that ``updated`` takes: texts for curves, else numbers."""
        return self.numbers() | self.curve_texts()

    def curve_texts(self) -> dict[str, str]:
        """Return the curves' expressions by control name."""
        return {name: curve.text for name, curve in self.curves.items()}

    def numbers(self) -> Table:
        """Return all values by name, without curves."""
        own = {f"{kind}.{key}": v for kind, table in self.pairing.items() for key, v in table.items()}
        return to_table(self.controls) | own

    def changes(self, pairing: Pairing) -> dict[str, float]:
        """Return the settings that override those of a model's ``pairing``, by setting name."""
        return dict(self.pairing.get(pairing.name, {}))


def looks_of(model: LoadedModel) -> list[str]:
    """Return the looks (styles) of a model: names if its pairing has them, seeds if it has style codes, or none."""
    if model.has_codes:
        return [str(number) for number in range(1, OFFERED_LOOKS + 1)]
    return list(model.pairing.settings.looks) if isinstance(model.pairing, LookPairing) else []


def describe_models(
    models: Mapping[str, LoadedModel], thumbnails: Mapping[str, str], media: Mapping[str, str]
) -> list[Table]:
    """Return the descriptions of a session's models, with the ``thumbnails`` of pictures and the ``media`` by name."""
    return [
        describe_model(model) | {"thumbnail": thumbnails.get(name, ""), "medium": media.get(name, "")}
        for name, model in models.items()
    ]


def describe_model(model: LoadedModel) -> Table:
    """Return a model's name, size, kind of drawing, palette, looks, strokes, guides and settings, as JSON values."""
    pairing = model.pairing
    size = model.record.size if model.record and not pairing.at_source_size else 0
    return {
        "name": model.name,
        "pairing": pairing.name,
        "size": size,
        "drawing": pairing.drawing_kind,
        "palette": [{"colour": colour, "name": name} for colour, name in pairing.swatches],
        "looks": looks_of(model),
        "strokes": takes_strokes(pairing),
        "guides": list(pairing.guides),
        "dreams": predicts_frames(model),
        "needs_dream": pairing.is_told,
        "has_clock": pairing.has_clock,
        "shots": len(set(model.record.dream.get("shots", ()))) if model.record else 0,
        "settings": describe_pairing(pairing),
    }


def describe_controls() -> Table:
    """Return the default, bounds, choices and help of each control by its name, as JSON values."""
    moves = _movable({})
    return {f.name: {"default": f.default, "moves": f.name in moves, **_bounds(option_of(f))} for f in fields(Controls)}


def describe_pairing(pairing: Pairing) -> Table:
    """Return a pairing's tunable settings by names like ``edges.density``: default, bounds and help, for JSON."""
    found: Table = {}
    if pairing.uses_mask:  # a live source has no mask
        return found
    by_name = {f.name: f for f in fields(pairing.settings)}
    for field in (by_name[name] for name in pairing.tunable):
        value, bounds = getattr(pairing.settings, field.name), _bounds(option_of(field))
        bounds.setdefault("low", 0)
        bounds.setdefault("high", 4 * value if value else 1)
        # A setting's bound may be far from useful values, so a slider ends at eight times the model's own value.
        bounds["high"] = min(bounds["high"], max(8 * value, bounds["low"] + 1e-3)) if value else bounds["high"]
        found[f"{pairing.name}.{field.name}"] = {
            "default": value,
            "whole": isinstance(value, int),
            "moves": True,
            **bounds,
        }
    return found


def _movable(models: Mapping[str, LoadedModel]) -> dict[str, tuple[float, float, bool]]:
    """Return the bounds of the controls that curves may move, and whether they are whole numbers, by name."""
    numbers = [f for f in fields(Controls) if isinstance(f.default, float) and f.name not in STILL]
    found = {f.name: (*option_of(f).ends, False) for f in numbers}
    for model in models.values():
        for name, about in describe_pairing(model.pairing).items():
            low, high, _ = found.get(name, (about["low"], about["high"], False))
            found[name] = min(low, about["low"]), max(high, about["high"]), about["whole"]
    return found


def _bounds(given: Option) -> Table:
    found: Table = dict(zip(("low", "high"), given.bounds or (), strict=False))
    found |= {name: getattr(given, name, None) for name in ("choices", "help", "place", "label")}
    return {name: value for name, value in found.items() if value not in (None, "")}


def _number(name: str, value: object, models: Mapping[str, LoadedModel]) -> float:
    """Return the value of a pairing setting. Raises UsageError if no model has the setting or it is not a number."""
    kind = name.partition(".")[0]
    known = sorted(
        {f"{kind}.{n}" for model in models.values() for n in model.pairing.tunable if model.pairing.name == kind}
    )
    if name not in known:
        raise unknown_name("control", name, [*known, *(f.name for f in fields(Controls))])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"control {name}", f"{value!r:.40} is not a number", "send a number")
    return value
