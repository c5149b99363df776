"""The controls of the live page: their declarations, state and curves, saved ones, and descriptions for the page.

A curve is an expression of time, of the sound that is heard now, of the source, or of files. Presets are controls that
are saved by name in one JSON file in the user's data folder.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from vidtrans.core.errors import UsageError
from vidtrans.core.files import read_small_json, write_json
from vidtrans.core.options import Option, Use, declaring, option, option_of, options_of, used
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import SMALLEST_SIDE, Table, from_table, to_table
from vidtrans.curves.curve import Curve, MovingSettings, file_of, parse_curve, shown_name
from vidtrans.curves.expressions import Signal
from vidtrans.curves.tracks import Track, read_data
from vidtrans.dreaming.predictors import predicts_frames
from vidtrans.live import LARGEST_OUTPUT
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.look_pairing import LookPairing, takes_strokes
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.pipeline.render import RENDER
from vidtrans.pipeline.stage import PictureStage
from vidtrans.strokes.media import medium_names
from vidtrans.strokes.settings import StrokesSettings
from vidtrans.upscaling import STREAM_MODES

LONGEST = 500  # characters of a curve
LARGEST_FILE = 4 << 20  # bytes of a file of values, which is read while others wait
TIMELINE = ("shot", "shot_t", "cut", "on_cut")  # names of a clip with an end
LARGEST_SIZE = 1024
NO_MEDIUM = "none"  # the control ``medium`` of pictures that are not painted
MOST_SHOTS = 99  # that are offered to be walked to
OFFERED_LOOKS = 24  # looks to choose from for a model with style codes, which has any number of looks
MOST_PRESETS = 200
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,60}")  # of a preset
TOLD = ("empty", "step", "least", "offers", "around", "needs")  # of a control, where it has them
# Settings classes whose ``LIVE`` settings are sliders: the class, the prefix of the sliders' names, their place.
SLIDERS: tuple[tuple[type, str, str], ...] = (
    *((stage.Settings, "", "picture" if issubclass(stage, PictureStage) else "look") for stage in RENDER),
    (StrokesSettings, "strokes_", "strokes"),
)
NEEDS = {"picture": "", "look": "taught", "strokes": "medium"}


@dataclass(frozen=True)
class ControlCurve:
    """The curve of a control. ``text``: its expression. Values are kept from ``low`` to ``high``, ``whole``: rounded.

    Raises UsageError, in one line, for an expression that has no value in a live session.
    """

    name: str
    text: str
    low: float
    high: float
    whole: bool = False

    def __post_init__(self) -> None:
        """Check the expression and the files that it reads."""
        if len(self.text) > LONGEST:
            raise UsageError(self.name, f"its curve has more than {LONGEST} characters", "write it more simply")
        shown, curve = f"{self.name} '{self.text}'", self.curve
        if curve.moments:
            raise UsageError(shown, "a live session has no timeline for key frames", "use t, in seconds")
        names = {*curve.names, *(signal.source.name for signal in curve.signals)}
        if found := [name for name in TIMELINE if name in names]:
            raise UsageError(shown, f"a live source has no '{found[0]}'", "use t, a sound, motion or brightness")
        if "mask" in names:
            raise UsageError(shown, "a live source has no mask", "use t, a sound, motion or brightness")
        if curve.is_drawn:
            raise UsageError(shown, "it does not move", "set the slider, or use t, low, on_beat(0.2), motion")
        for file in {signal.source.file for signal in curve.signals} - {""}:
            FileTrack(file)

    @cached_property
    def curve(self) -> Curve:
        """The parsed expression. Raises UsageError."""
        return parse_curve(self.text, self.name)

    @property
    def signals(self) -> frozenset[Signal]:
        """The signals that it depends on."""
        return self.curve.signals

    def kept(self, value: float) -> float:
        """Return a value within the control's bounds."""
        found = max(self.low, min(self.high, value))
        return round(found) if self.whole else round(found, 5)


class FileTrack:
    """A column of a file of values, ``FILE[:COLUMN]``, below the folder in which the session began.

    Pages of other machines give the name, so no other folder is read. Raises UsageError.
    """

    def __init__(self, signal: str) -> None:
        name, column = file_of(signal)
        path, folder = Path(name), Path.cwd().resolve()
        if path.is_absolute() or not path.resolve().is_relative_to(folder):
            raise UsageError(name, "it is not in the folder of this session", f"copy it to {folder.name}/")
        if path.is_file() and path.stat().st_size > LARGEST_FILE:
            raise UsageError(name, f"it has more than {LARGEST_FILE >> 20} MB", "give a shorter one")
        data = read_data(path)
        self.in_frames = data.in_frames
        self.track: Track = data.track(column, lambda frames: frames)


@dataclass(frozen=True)
class Control(Option):
    """An option that the live page shows under a label, in one of its places; '': in none of them.

    Attributes:
        may_move: Curves may move it; not where that would change its own time.
        empty: What 0, or '', is called.
        step: Of a slider of whole numbers.
        least: OSC's numbers that are greater than 0 become at least this.
        offers: The names to choose from.
        around: Curves that are begun on the page move it from its default, as it goes both ways.
        needs: What has to be there, by its name in ``suit`` of ``page/main.js``: else the page does not show it.
    """

    place: str = ""
    label: str = ""
    may_move: bool = True
    empty: str = ""
    step: int = 0
    least: int = 0
    offers: Literal["", "models", "looks"] = ""
    around: bool = False
    needs: str = ""


def control(default: Any, place: str, label: str, help: str, **traits: Any) -> Any:  # noqa: ANN401  (of any field)
    """Declare a control; ``traits``: fields of ``Control``."""
    return declaring(Control)(default, help, place=place, label=label, **traits)


def _sliders() -> type:
    """Return a class with the options of stages, and of strokes, that may change live."""
    made: list[tuple[str, type, Any]] = []
    for cls, prefix, place in SLIDERS:
        for name in used(cls, Use.LIVE):
            given, label = options_of(cls)[name], name.replace("_", " ").capitalize()
            help = given.help.partition("; a curve")[0]
            slider = control(float(getattr(cls, name)), place, label, help, bounds=given.ends, needs=NEEDS[place])
            made.append((f"{prefix}{name}", float, slider))
    return dataclasses.make_dataclass("_Sliders", made, frozen=True, kw_only=True)


@dataclass(frozen=True)
class Controls(_sliders()):  # type: ignore[misc]  # whose numbers come from the stages
    """The controls that are the same for every model."""

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
        may_move=False,
        needs="models",
    )
    size: int = control(
        0,
        "picture",
        "Size",
        "short side in pixels at which the model paints; 0: its training size",
        bounds=(0, LARGEST_SIZE),
        empty="trained",
        step=32,
        least=SMALLEST_SIDE,
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
    mirror: bool = option(False, "mirror the source, for a camera that faces you")
    freeze: bool = option(False, "keep painting the source's last frame")
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
        bounds=(0, MOST_SHOTS),
        empty="none",
        needs="shots",
    )
    drive: float = control(
        0.0, "dream", "Drive", "dream: share of the source's frame in the model's input", bounds=(0.0, 1.0)
    )
    dream_fps: float = control(
        12.0, "dream", "Frames/s", "dream: highest number of frames per second", bounds=(1.0, 60.0), may_move=False
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
    own = {f.name: option_of(f) for f in fields(Controls) if isinstance(f.default, float)}
    movable = {name: given for name, given in own.items() if isinstance(given, Control) and given.may_move}
    found = {name: (*given.ends, False) for name, given in movable.items()}
    for model in models.values():
        for name, about in describe_pairing(model.pairing).items():
            low, high, _ = found.get(name, (about["low"], about["high"], False))
            found[name] = min(low, about["low"]), max(high, about["high"]), about["whole"]
    return found


def _bounds(given: Option) -> Table:
    """Return what the page is told of a control or a setting, beside its default."""
    found: Table = dict(zip(("low", "high"), given.bounds or (), strict=False))
    found |= {"choices": given.choices, "help": given.help}
    if isinstance(given, Control):
        found |= {"place": given.place, "label": given.label}
        found |= {name: getattr(given, name) or None for name in TOLD}
    return {name: value for name, value in found.items() if value is not None}


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


def default_path() -> Path:
    """Return the path of the presets file."""
    import platformdirs

    return Path(platformdirs.user_data_dir("vidtrans")) / "live-presets.json"


class SavedControls:
    """Saved controls by name. An unreadable file counts as empty, and is replaced at the next save."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tables = self._read()

    def _read(self) -> dict[str, Table]:
        try:
            found = read_small_json(self._path)
        except (OSError, ValueError, UsageError):
            return {}
        tables = found if isinstance(found, dict) else {}
        return {name: table for name, table in tables.items() if _NAME.fullmatch(name) and isinstance(table, dict)}

    @property
    def names(self) -> list[str]:
        """Return the names of the presets, in alphabetical order."""
        return sorted(self._tables)

    def carry_out(self, message: Table, state: ControlState, models: Mapping[str, LoadedModel]) -> ControlState | None:
        """Save, delete or load a preset, as a message asks; return loaded controls. Raises UsageError, OSError."""
        name = message.get("name")
        if not isinstance(name, str):
            raise UsageError("preset", "it has no name", "give a name")
        if message.get("do") == "save":
            self.save(name, state.table())
        elif message.get("do") == "delete":
            self.delete(name)
        else:
            return ControlState().updated(that_fit(self.load(name), state, models), models)
        return None

    def load(self, name: str) -> Table:
        """Return the controls saved as ``name``. Raises UsageError."""
        if name not in self._tables:
            raise UsageError(f"preset '{name}'", "there is no preset of this name", "choose another name")
        return dict(self._tables[name])

    def save(self, name: str, table: Table) -> None:
        """Save controls as ``name``. Raises UsageError, OSError."""
        if not _NAME.fullmatch(name):
            raise UsageError("preset", "its name must have 1 to 60 printable characters", "choose another name")
        if len(self._tables) >= MOST_PRESETS and name not in self._tables:
            raise UsageError("preset", f"there are {MOST_PRESETS} presets already", "delete one first")
        self._write({**self._read(), name: dict(table)})  # another server may have saved some

    def delete(self, name: str) -> None:
        """Delete the preset ``name``, if it exists. Raises OSError."""
        self._write({known: table for known, table in self._read().items() if known != name})

    def _write(self, tables: dict[str, Table]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path, tables, indent=1)
        self._tables = tables


def that_fit(values: Table, state: ControlState, models: Mapping[str, LoadedModel]) -> Table:
    """Return saved values without settings of models that are not loaded; the model may be that of ``state``."""
    controls, own = {f.name for f in fields(Controls)}, state.controls
    settings = {key for model in models.values() for key in describe_pairing(model.pairing)}
    fit = {name: value for name, value in values.items() if name in controls | settings}
    fit["model"] = fit.get("model") if fit.get("model") in models else own.model
    fit["second"] = fit.get("second") if fit.get("second") in models else ""
    if fit.get("look") not in [look for model in models.values() for look in looks_of(model)]:
        fit["look"] = ""
    return fit
