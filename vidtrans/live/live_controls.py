"""Controls of the live page: their declarations, current values and curves, saved presets, and JSON descriptions.

A curve is an expression of time, of the live sound, of the source's frames, or of files of values. Presets are
control values that are saved by name in one JSON file in the user's data folder.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from vidtrans import medium_names
from vidtrans.core.errors import UsageError
from vidtrans.core.files import read_small_json, write_json
from vidtrans.core.options import Option, Use, option, option_factory, option_of, options_of, settings_with_use
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import SMALLEST_SIDE, Table, from_table, to_table
from vidtrans.curves.curve import Curve, MovingSettings, file_of, option_label, parse_curve
from vidtrans.curves.expressions import Signal
from vidtrans.curves.tracks import Track, read_data
from vidtrans.dreaming.predictors import predicts_frames
from vidtrans.live import MAX_OUTPUT_SIDE_PX
from vidtrans.masking.live_masks import LiveMask
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.look_pairing import LookPairing, takes_strokes
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.pipeline.render import RENDER
from vidtrans.pipeline.stage import PictureStage
from vidtrans.strokes.settings import StrokesSettings
from vidtrans.upscaling import STREAM_MODES

MAX_CURVE_CHARS = 500  # Longest expression, in characters, of a curve that drives a control
MAX_VALUES_FILE_BYTES = 4 << 20  # Largest file of curve values: all connections wait while it is read
# Names in curve expressions that need a clip with shots; refused in a live session
TIMELINE_NAMES = ("shot", "shot_t", "cut", "on_cut")
MAX_WORKING_SIZE_PX = 1024  # Largest short side, in pixels, at which a model paints
NO_MEDIUM = "none"  # Value of the control ``medium`` that turns painting in strokes off
MAX_SHOTS = 99  # Highest shot number of the control ``goto``
# Number of seeds that the page offers as styles of a model with style codes, which has any number
NUM_OFFERED_CODES = 24
MAX_PRESETS = 200  # Largest number of presets in the file of saved presets
# Name of a saved preset: 1 to 60 characters without control characters, such as "Blue night"
PRESET_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,60}")
# Fields of ``Control`` that are sent to the page only if they are set
OPTIONAL_TRAITS = ("empty", "step", "least", "offers", "suggestions", "around", "needs")
# Settings classes whose settings with the use ``LIVE`` are sliders: (class, prefix of slider names, group on the page)
SLIDERS: tuple[tuple[type, str, str], ...] = (
    *((stage.Settings, "", "picture" if issubclass(stage, PictureStage) else "look") for stage in RENDER),
    (StrokesSettings, "strokes_", "strokes"),
)
# Condition for showing the sliders of each group of the page, as in ``Control.needs``; "": always shown
PLACE_NEEDS = {"picture": "", "look": "taught", "strokes": "medium"}


@dataclass(frozen=True)
class ControlCurve:
    """A curve that drives a control: its expression ``text``, clamped to [``low``, ``high``].

    Values are rounded if ``is_integer``. Raises UsageError, in one line, for an expression that has no value in a live
    session.
    """

    name: str
    text: str
    low: float
    high: float
    is_integer: bool = False

    def __post_init__(self) -> None:
        """Check that the expression is valid in a live session and that the files that it reads exist."""
        if len(self.text) > MAX_CURVE_CHARS:
            raise UsageError(self.name, f"its curve has more than {MAX_CURVE_CHARS} characters", "write it more simply")
        subject, curve = f"{self.name} '{self.text}'", self.curve
        if curve.moments:
            raise UsageError(subject, "a live session has no timeline for key frames", "use t, in seconds")
        names = {*curve.names, *(signal.source.name for signal in curve.signals)}
        if timeline_names := [name for name in TIMELINE_NAMES if name in names]:
            raise UsageError(
                subject, f"a live source has no '{timeline_names[0]}'", "use t, a sound, motion or brightness"
            )
        if "mask" in names:
            raise UsageError(subject, "a live source has no mask", "use t, a sound, motion or brightness")
        if curve.is_drawn:
            raise UsageError(subject, "it does not move", "set the slider, or use t, low, on_beat(0.2), motion")
        for file in {signal.source.file for signal in curve.signals} - {""}:
            FileTrack(file)

    @cached_property
    def curve(self) -> Curve:
        """Return the parsed expression."""
        return parse_curve(self.text, self.name)

    @property
    def signals(self) -> frozenset[Signal]:
        """Return the signals that the expression reads, such as the loudness of the sound."""
        return self.curve.signals

    def clamp(self, value: float) -> float:
        """Return a value clamped to the control's bounds, and rounded to an integer or to 5 decimals."""
        clamped = max(self.low, min(self.high, value))
        return round(clamped) if self.is_integer else round(clamped, 5)


class FileTrack:
    """A column of a file of curve values, ``FILE[:COLUMN]``, in the working folder of the session or below it.

    The name comes from pages on other machines, so no other folder is read. Raises UsageError.
    """

    def __init__(self, signal: str) -> None:
        name, column = file_of(signal)
        path, folder = Path(name), Path.cwd().resolve()
        if path.is_absolute() or not path.resolve().is_relative_to(folder):
            raise UsageError(name, "it is not in the folder of this session", f"copy it to {folder.name}/")
        if path.is_file() and path.stat().st_size > MAX_VALUES_FILE_BYTES:
            raise UsageError(name, f"it has more than {MAX_VALUES_FILE_BYTES >> 20} MB", "give a shorter one")
        data = read_data(path)
        self.in_frames = data.in_frames
        self.track: Track = data.track(column, lambda frames: frames)


@dataclass(frozen=True)
class Control(Option):
    """An option of the live page, with ``label``, in the group ``place`` of the page; place "" hides it.

    Attributes:
        can_move: Whether a curve may drive it; false where a moving value would change its own time.
        empty: The page's text for the value 0 or ''.
        step: The step of a slider with integer values; 0: any number.
        least: The smallest value greater than 0 that OSC may set.
        offers: The list of names that the page offers.
        suggestions: Texts that the page offers for a control that takes others too.
        around: Whether a new curve on the page oscillates around the default value.
        needs: The condition for showing it, by its name in ``suit`` of ``page/main.js``.
    """

    place: str = ""
    label: str = ""
    can_move: bool = True
    empty: str = ""
    step: int = 0
    least: int = 0
    offers: Literal["", "models", "looks"] = ""
    suggestions: tuple[str, ...] = ()
    around: bool = False
    needs: str = ""


def control(default: Any, place: str, label: str, help: str, **traits: Any) -> Any:  # noqa: ANN401  (of any field)
    """Declare a field of ``Controls``; ``traits``: values for the fields of ``Control``."""
    return option_factory(Control)(default, help, place=place, label=label, **traits)


def _slider_class() -> type:
    """Return a dataclass with a slider for each setting with the use ``LIVE`` of the render stages and of strokes."""
    sliders: list[tuple[str, type, Any]] = []
    for cls, prefix, place in SLIDERS:
        for name in settings_with_use(cls, Use.LIVE):
            setting, label = options_of(cls)[name], name.replace("_", " ").capitalize()
            help, needs = setting.help.partition("; to change it")[0], PLACE_NEEDS[place]
            slider = control(float(getattr(cls, name)), place, label, help, bounds=setting.ends, needs=needs)
            sliders.append((f"{prefix}{name}", float, slider))
    return dataclasses.make_dataclass("_Sliders", sliders, frozen=True, kw_only=True)


@dataclass(frozen=True)
class Controls(_slider_class()):  # type: ignore[misc]  # a base class made at run time
    """Values of the controls that a live session has with every model."""

    model: str = control("", "", "Model", "the model that paints", offers="models")
    second: str = control(
        "",
        "picture",
        "Second model",
        "a model to cross-fade with; empty: none",
        empty="none",
        offers="models",
        needs="models",
    )
    crossfade: float = control(
        0.0, "picture", "Cross-fade", "share of the second model's picture", bounds=(0.0, 1.0), needs="second"
    )
    fade: float = control(
        0.5,
        "picture",
        "Fade (s)",
        "seconds of the fade from one model to another",
        bounds=(0.0, 30.0),
        can_move=False,
        needs="models",
    )
    size: int = control(
        0,
        "picture",
        "Size",
        "short side in pixels at which the model paints; 0: its training size",
        bounds=(0, MAX_WORKING_SIZE_PX),
        empty="trained",
        step=32,
        least=SMALLEST_SIDE,
    )
    upscale: str = control(
        "luma",
        "picture",
        "Enlarge",
        "how a picture comes to the size of the source: luma (sharp, with the source's light and dark where "
        "picture and source agree), bicubic, or off (pictures have the size at which the model paints)",
        choices=(*STREAM_MODES, "off"),
    )
    output_size: int = control(
        0,
        "picture",
        "Output size",
        "short side in pixels of the pictures, at most the source's; 0: what the device has time for",
        bounds=(0, MAX_OUTPUT_SIDE_PX),
        empty="auto",
        step=24,
        needs="enlarging",
    )
    past: str = control(
        "lerp",
        "past",
        "Past",
        "blending with past pictures: off, lerp (with the last picture), or causal (along the motion, reduces flicker)",
        choices=("off", "lerp", "causal"),
    )
    lerp: float = control(
        0.5, "past", "Share of the past", "share of the last picture, for lerp", bounds=(0.0, 0.98), needs="lerp"
    )
    mask: str = control(
        "",
        "mask",
        "Mask",
        "where the look is seen: person, face, key (before a green or blue screen), colour:#c03020, luma:0.5..1, "
        "each also with 'not', joined by + and -; empty: everywhere",
        empty="everywhere",
        suggestions=("person", "not person", "face", "not face", "key"),
    )
    mask_share: float = control(
        1.0,
        "mask",
        "Share of the mask",
        "how far the mask hides the look; 0: the look is seen everywhere",
        bounds=(0.0, 1.0),
        needs="mask",
    )
    mirror: bool = option(False, "mirror the source, for a camera that faces you")
    freeze: bool = option(False, "keep the source's last frame, and continue to paint it")
    look: str = control(
        "",
        "look",
        "Look",
        "the look of a model with several looks; empty: the first",
        empty="the first",
        offers="looks",
        needs="looks",
    )
    medium: str = control(
        "",
        "strokes",
        "Medium",
        "the medium in which pictures are painted; empty: the model's own",
        choices=("", NO_MEDIUM, *medium_names()),
        empty="the model's own",
    )
    zoom: float = control(1.0, "dream", "Zoom", "dream: zoom factor per frame", bounds=(0.9, 1.1), around=True)
    rotate: float = control(
        0.0, "dream", "Rotate", "dream: rotation per frame in degrees", bounds=(-10.0, 10.0), around=True
    )
    pan_x: float = control(
        0.0,
        "dream",
        "Pan across",
        "dream: horizontal motion per frame, as a share of the width",
        bounds=(-0.05, 0.05),
        around=True,
    )
    pan_y: float = control(
        0.0,
        "dream",
        "Pan down",
        "dream: vertical motion per frame, as a share of the height",
        bounds=(-0.05, 0.05),
        around=True,
    )
    hue: float = control(
        0.0, "dream", "Hue", "dream: hue rotation per frame in degrees", bounds=(-20.0, 20.0), around=True
    )
    speed: float = control(
        1.0,
        "dream",
        "Speed",
        "dream with a clock: speed; 1: the clip's own, -1: backwards",
        bounds=(-4.0, 4.0),
        around=True,
        needs="clock",
    )
    recall: float = control(
        1.0,
        "dream",
        "Recall",
        "dream with kept frames: how far it goes by the frames of its clip; 0: not at all",
        bounds=(0.0, 1.0),
        needs="kept frames",
    )
    wander: float = control(
        0.0,
        "dream",
        "Wander",
        "dream with kept frames: how soon it leaves their order; 0: at the end of a shot",
        bounds=(0.0, 1.0),
        needs="kept frames alone",
    )
    goto: int = control(
        0,
        "dream",
        "Go to shot",
        "dream with kept frames of several shots: the shot that it walks to; 0: none",
        bounds=(0, MAX_SHOTS),
        empty="none",
        needs="shots",
    )
    drive: float = control(
        0.0, "dream", "Drive", "dream: share of the source's frame in the model's input", bounds=(0.0, 1.0)
    )
    dream_fps: float = control(
        12.0, "dream", "Frames/s", "dream: highest number of frames per second", bounds=(1.0, 60.0), can_move=False
    )

    def values_for(self, cls: type) -> dict[str, float]:
        """Return the sliders' values for the settings of class ``cls``, by setting name."""
        return {name: getattr(self, _slider_prefix(cls) + name) for name in settings_with_use(cls, Use.LIVE)}


def slider_values(settings: MovingSettings, constant_value: Callable[[str, Curve], float]) -> Table:
    """Return ``settings`` as the values of their sliders, by slider name.

    ``constant_value(label, curve)`` returns the value of a constant curve, and raises UsageError for a moving one.
    """
    cls = type(settings)
    labels = {name: option_label(cls, name).lstrip("-").replace("-", "_") for name in settings_with_use(cls, Use.LIVE)}
    return {_slider_prefix(cls) + name: constant_value(label, settings.curve(name)) for name, label in labels.items()}


def _slider_prefix(cls: type) -> str:
    """Return the prefix of the slider names of a settings class: "strokes_" for strokes, else ""."""
    return next(prefix for base, prefix, _ in SLIDERS if issubclass(cls, base))


@dataclass(frozen=True)
class ControlState:
    """The values of all controls, and the curves that drive some of them.

    ``pairing``: settings that override the models' own, by pairing name and setting name. ``curves``: the curves that
    drive controls, by control name; ``controls`` then has the control's number from before the curve.
    """

    controls: Controls = dataclasses.field(default_factory=Controls)
    pairing: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    curves: Mapping[str, ControlCurve] = dataclasses.field(default_factory=dict)

    def with_values(self, values: Mapping[str, object], models: Mapping[str, LoadedModel]) -> ControlState:
        """Return a copy of the state with the given values, by control name. Raises UsageError.

        ``edges.density`` names the setting ``density`` of the pairing ``edges``, which makes a model's input. A string
        for a numeric control is the expression of its curve; a number ends the curve.
        """
        bounds = _movable_bounds(models)
        curves = {name: curve for name, curve in self.curves.items() if name in bounds and name not in values}
        curves |= {n: ControlCurve(n, v, *bounds[n]) for n, v in values.items() if isinstance(v, str) and n in bounds}
        values = {name: value for name, value in values.items() if name not in curves}
        own = {name: value for name, value in values.items() if "." not in name}
        controls = from_table(Controls, to_table(self.controls) | own, "controls")
        _check_controls(controls, models)
        pairing = {name: dict(table) for name, table in self.pairing.items()}
        for name, value in values.items():
            if name not in own:
                kind, _, key = name.partition(".")
                pairing.setdefault(kind, {})[key] = _number(name, value, models)
        for kind, table in pairing.items():
            for model in models.values():
                if model.pairing.name == kind:
                    make_pairing(kind, to_table(model.pairing.settings) | table)  # Validates the combined settings
        return ControlState(controls, pairing, curves)

    def with_positions(self, positions: Mapping[str, float]) -> ControlState:
        """Return a copy of the state without curves, in which each driven control has its current value.

        ``positions``: the values by control name, within the controls' bounds.
        """
        pairing = {kind: dict(table) for kind, table in self.pairing.items()}
        for name, value in positions.items():
            kind, dot, key = name.partition(".")
            if dot:
                pairing.setdefault(kind, {})[key] = value
        own = {name: value for name, value in positions.items() if "." not in name}
        return ControlState(dataclasses.replace(self.controls, **own), pairing)  # type: ignore[arg-type]

    def without_model(
        self, removed: LoadedModel, models: Mapping[str, LoadedModel], former: ControlState | None = None
    ) -> ControlState:
        """Return the state after model ``removed`` was removed: without its style, and with another model selected.

        The replacement is the first model; with a ``former`` state, the models of that state.
        """
        own, values = self.controls, {"model": self.controls.model}
        if own.model == removed.name:
            values = {"model": next(iter(models))}
            if former is not None and former.controls.model in models:
                values = {n: v for n in ("model", "second") if (v := getattr(former.controls, n)) in ("", *models)}
        values |= {"second": ""} if own.second == removed.name else {}
        values |= {"look": ""} if own.look in looks_of(removed) else {}
        return self.with_values(values, models)

    def table(self) -> Table:
        """Return all values by control name, as ``with_values`` takes them: expressions for curves, else numbers."""
        return self.numbers() | self.curve_texts()

    def curve_texts(self) -> dict[str, str]:
        """Return the expressions of the curves, by control name."""
        return {name: curve.text for name, curve in self.curves.items()}

    def numbers(self) -> Table:
        """Return all values by control name; a control with a curve has the number from before the curve."""
        own = {f"{kind}.{key}": v for kind, table in self.pairing.items() for key, v in table.items()}
        return to_table(self.controls) | own

    def changes(self, pairing: Pairing) -> dict[str, float]:
        """Return the settings from the page, by name, that replace those of a model's ``pairing``."""
        return dict(self.pairing.get(pairing.name, {}))


def _check_controls(controls: Controls, models: Mapping[str, LoadedModel]) -> None:
    """Raise UsageError for an unknown model or look, a size that is too small, or a mask that is none."""
    for name in (controls.model, controls.second):
        if name and name not in models:
            raise unknown_name("model", name, list(models))
    if 0 < controls.size < SMALLEST_SIDE:
        remedy = f"choose {SMALLEST_SIDE} or more, or 0 for the training size"
        raise UsageError(f"size {controls.size}", "too small", remedy)
    looks = [look for model in models.values() for look in looks_of(model)]
    if controls.look and controls.look not in looks:
        raise unknown_name("look", controls.look, looks)
    LiveMask.of(controls.mask)


def looks_of(model: LoadedModel) -> list[str]:
    """Return the names of a model's styles (looks): those of its pairing, or seeds if it has style codes."""
    if model.has_codes:
        return [str(number) for number in range(1, NUM_OFFERED_CODES + 1)]
    return list(model.pairing.settings.looks) if isinstance(model.pairing, LookPairing) else []


def describe_models(
    models: Mapping[str, LoadedModel], thumbnails: Mapping[str, str], media: Mapping[str, str]
) -> list[Table]:
    """Return descriptions of models for the page, as JSON values.

    ``thumbnails`` (data URLs of JPEG files) and ``media`` (painting media, such as oil) are by model name.
    """
    return [
        describe_model(model) | {"thumbnail": thumbnails.get(name, ""), "medium": media.get(name, "")}
        for name, model in models.items()
    ]


def describe_model(model: LoadedModel) -> Table:
    """Return a description of a model for the page as JSON values: name, size, palette, styles, settings and so on."""
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
        "needs_dream": pairing.has_conditions,
        "has_clock": pairing.has_clock,
        "shots": len(set(model.record.dream.get("shots", ()))) if model.record else 0,
        "settings": describe_pairing(pairing),
    }


def describe_controls() -> Table:
    """Return the default, bounds, choices and help of each control by name, as JSON values."""
    moves = _movable_bounds({})
    return {
        f.name: {"default": f.default, "moves": f.name in moves, **_describe_option(option_of(f))}
        for f in fields(Controls)
    }


def describe_pairing(pairing: Pairing) -> Table:
    """Return the tunable settings of a pairing for the page, by names like ``edges.density``: default, bounds, help."""
    settings: Table = {}
    if pairing.uses_mask:  # A live source has no mask
        return settings
    by_name = {f.name: f for f in fields(pairing.settings)}
    for field in (by_name[name] for name in pairing.tunable):
        value, bounds = getattr(pairing.settings, field.name), _describe_option(option_of(field))
        bounds.setdefault("low", 0)
        bounds.setdefault("high", 4 * value if value else 1)
        # A setting's bound may be far above useful values, so its slider ends at eight times the model's own value.
        bounds["high"] = min(bounds["high"], max(8 * value, bounds["low"] + 1e-3)) if value else bounds["high"]
        settings[f"{pairing.name}.{field.name}"] = {
            "default": value,
            "whole": isinstance(value, int),
            "moves": True,
            **bounds,
        }
    return settings


def _movable_bounds(models: Mapping[str, LoadedModel]) -> dict[str, tuple[float, float, bool]]:
    """Return the bounds of each control that a curve may drive, by name: (lowest, highest, is integer)."""
    own = {f.name: option_of(f) for f in fields(Controls) if isinstance(f.default, float)}
    movable = {name: option for name, option in own.items() if isinstance(option, Control) and option.can_move}
    bounds = {name: (*option.ends, False) for name, option in movable.items()}
    for model in models.values():
        for name, about in describe_pairing(model.pairing).items():
            low, high, _ = bounds.get(name, (about["low"], about["high"], False))
            bounds[name] = min(low, about["low"]), max(high, about["high"]), about["whole"]
    return bounds


def _describe_option(option: Option) -> Table:
    """Return the bounds, choices, help and page fields of a control or a setting, without its default."""
    table: Table = dict(zip(("low", "high"), option.bounds or (), strict=False))
    table |= {"choices": option.choices, "help": option.help}
    if isinstance(option, Control):
        table |= {"place": option.place, "label": option.label}
        table |= {name: getattr(option, name) or None for name in OPTIONAL_TRAITS}
    return {name: value for name, value in table.items() if value is not None}


def _number(name: str, value: object, models: Mapping[str, LoadedModel]) -> float:
    """Return ``value`` as a number, if ``name`` is a pairing setting of a loaded model. Raises UsageError."""
    kind = name.partition(".")[0]
    settings = sorted(
        {f"{kind}.{n}" for model in models.values() for n in model.pairing.tunable if model.pairing.name == kind}
    )
    if name not in settings:
        raise unknown_name("control", name, [*settings, *(f.name for f in fields(Controls))])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"control {name}", f"{value!r:.40} is not a number", "send a number")
    return value


def presets_path() -> Path:
    """Return the path of the file of saved presets, in the user's data folder."""
    import platformdirs

    return Path(platformdirs.user_data_dir("vidtrans")) / "live-presets.json"


class SavedControls:
    """The presets saved in a JSON file: control values by preset name.

    An unreadable file counts as empty, and the next save replaces it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tables = self._read()

    def _read(self) -> dict[str, Table]:
        """Return the valid presets of the file, by name; empty if the file is missing or unreadable."""
        try:
            content = read_small_json(self._path)
        except (OSError, ValueError, UsageError):
            return {}
        tables = content if isinstance(content, dict) else {}
        return {
            name: table for name, table in tables.items() if PRESET_NAME.fullmatch(name) and isinstance(table, dict)
        }

    @property
    def names(self) -> list[str]:
        """Return the names of the presets in alphabetical order."""
        return sorted(self._tables)

    def handle_message(
        self, message: Table, state: ControlState, models: Mapping[str, LoadedModel]
    ) -> ControlState | None:
        """Save, delete or load a preset for a page; return the control state if loaded. Raises UsageError, OSError."""
        name = message.get("name")
        if not isinstance(name, str):
            raise UsageError("preset", "it has no name", "give a name")
        if message.get("do") == "save":
            self.save(name, state.table())
        elif message.get("do") == "delete":
            self.delete(name)
        else:
            return ControlState().with_values(usable_controls(self.load(name), state, models), models)
        return None

    def load(self, name: str) -> Table:
        """Return the control values of the preset ``name``. Raises UsageError."""
        if name not in self._tables:
            raise UsageError(f"preset '{name}'", "there is no preset of this name", "choose another name")
        return dict(self._tables[name])

    def save(self, name: str, table: Table) -> None:
        """Save control values as the preset ``name``. Raises UsageError, OSError."""
        if not PRESET_NAME.fullmatch(name):
            raise UsageError("preset", "its name must have 1 to 60 printable characters", "choose another name")
        if len(self._tables) >= MAX_PRESETS and name not in self._tables:
            raise UsageError("preset", f"there are {MAX_PRESETS} presets already", "delete one first")
        self._write({**self._read(), name: dict(table)})  # Another server may have saved presets meanwhile

    def delete(self, name: str) -> None:
        """Delete the preset ``name`` from the file; do nothing if there is none."""
        self._write({other: table for other, table in self._read().items() if other != name})

    def _write(self, tables: dict[str, Table]) -> None:
        """Replace all presets in the file. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path, tables, indent=1)
        self._tables = tables


def usable_controls(values: Table, state: ControlState, models: Mapping[str, LoadedModel]) -> Table:
    """Return the saved ``values`` for which the session has a control or a setting, by name.

    The model of ``state`` replaces a missing model; a missing second model or style becomes ''.
    """
    controls, own = {f.name for f in fields(Controls)}, state.controls
    settings = {key for model in models.values() for key in describe_pairing(model.pairing)}
    usable = {name: value for name, value in values.items() if name in controls | settings}
    usable["model"] = usable.get("model") if usable.get("model") in models else own.model
    usable["second"] = usable.get("second") if usable.get("second") in models else ""
    if usable.get("look") not in [look for model in models.values() for look in looks_of(model)]:
        usable["look"] = ""
    return usable
