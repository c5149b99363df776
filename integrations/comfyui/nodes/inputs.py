"""The inputs of the nodes: sockets, and widgets from the schemas of the commands.

``schemas.json`` is a copy of what vidtrans offers a page, written by ``make_schemas.py``: the nodes load in
milliseconds, and before vidtrans is installed. vidtrans itself checks the values when a node runs.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from comfy_api.latest import io

from .clips import ClipFile, clip_file, painted_folder, picture_files

Model, Dataset = io.Custom("VIDTRANS_MODEL"), io.Custom("VIDTRANS_DATASET")
# a term of a mask that vidtrans finds in the picture, which needs no file; it checks the rest itself
FOUND = re.compile(r"(not\s+|not:\s*)?(person|face|key|luma|(key|colour|luma):[^/\\]*)", re.IGNORECASE)
NUMBERS = "The frame of each picture, counted from 0, such as '0, 48, 96'; of a folder they stand in the names."
FOLDER_CODECS = ("png", "exr")  # a node's result is one file
DEFAULTS = {("keyframes", "count"): 4, ("dream", "frames"): 120}  # of parameters that have none
MEDIUM = "vidtrans-medium"  # the format of a medium's name; those of your own are written as options
LARGEST = 2**31 - 1  # of a whole number in a widget


@dataclass(frozen=True)
class Socket:
    """An input above the widgets of a command, whose value is given to the command as it is.

    Where two sockets of a node have the same parameter, the first that is connected counts.
    """

    name: str
    tooltip: str = ""
    parameter: str = ""  # of the command; by default the one of the same name
    optional: bool = field(default=False, kw_only=True)
    types: tuple[Any, ...] = field(default=(Model,), kw_only=True)

    def inputs(self) -> list[io.Input]:
        """Return the inputs of the node: this one, and those that belong to it."""
        words = {"optional": self.optional, "tooltip": self.tooltip}
        if len(self.types) == 1:
            return [self.types[0].Input(self.name, **words)]
        return [io.MultiType.Input(self.name, types=[*self.types], **words)]

    def read(self, value: Any, inputs: dict[str, Any], clips: list[ClipFile]) -> Any:
        """Return the parameter's value, and append a clip to ``clips``. Raises ValueError."""
        return value


@dataclass(frozen=True)
class ClipSocket(Socket):
    """A clip: VIDEO, a path, or a short IMAGE batch."""

    names: ClassVar[str] = "VIDEO or a path of any length"
    types: tuple[Any, ...] = field(default=(io.Video, io.Image, io.String), kw_only=True)
    takes_picture: bool = field(default=False, kw_only=True)  # an IMAGE batch of one picture is a picture, not a clip
    takes_part: bool = field(default=True, kw_only=True)  # False: the command has no option for a part of a clip

    def inputs(self) -> list[io.Input]:
        (one,) = super().inputs()
        one.tooltip = f"{self.tooltip} {self.names}; an IMAGE batch of at most 300 frames."
        return [one]

    def read(self, value: Any, inputs: dict[str, Any], clips: list[ClipFile]) -> Any:
        if self.takes_picture and hasattr(value, "shape") and len(value) == 1:
            return picture_files(value, self.name)[0]
        clip = clip_file(value, self.name, inputs.get("frame_rate", 24.0))
        if clip.is_part and not self.takes_part:
            raise ValueError(f"{self.name}: a trimmed VIDEO cannot be learned on — save it, and load the file")
        clips.append(clip)
        return clip.path


@dataclass(frozen=True)
class MatteSocket(ClipSocket):
    """A mask: a matte as MASK or as a clip, or the text of one that is found in the picture, as 'person - face'."""

    names: ClassVar[str] = "MASK, VIDEO, a path, or what to find: person, not person, face, key"
    types: tuple[Any, ...] = field(default=(io.Mask, io.Video, io.Image, io.String), kw_only=True)

    def read(self, value: Any, inputs: dict[str, Any], clips: list[ClipFile]) -> Any:
        if not isinstance(value, str):
            return super().read(value, inputs, clips)
        parts = re.split(r"(\s+[+-]\s+)", value.strip())
        if not any(FOUND.fullmatch(part) for part in parts[::2]):
            return super().read(value, inputs, clips)
        for at, part in enumerate(parts):
            if at % 2 == 0 and not FOUND.fullmatch(part):
                inverted = re.match(r"not(\s+|:\s*)", part)
                file = super().read(part[inverted.end() :] if inverted else part, inputs, clips)
                parts[at] = f"not:{file}" if inverted else file
        return "".join(parts)


@dataclass(frozen=True)
class PicturesSocket(Socket):
    """IMAGE, or the path of a picture. ``remedy``: what to do with several, of a parameter that takes one."""

    types: tuple[Any, ...] = field(default=(io.Image, io.String), kw_only=True)
    remedy: str = field(default="", kw_only=True)

    def read(self, value: Any, inputs: dict[str, Any], clips: list[ClipFile]) -> Any:
        pictures = picture_files(value, self.name)
        if self.remedy and len(pictures) > 1:
            raise ValueError(f"{self.name}: it is more than one picture — {self.remedy}")
        return pictures[0] if self.remedy else pictures


@dataclass(frozen=True)
class PaintedSocket(PicturesSocket):
    """Painted frames: an IMAGE batch, whose numbers are a second input, or a folder with numbers in the names."""

    def inputs(self) -> list[io.Input]:
        return [*super().inputs(), io.String.Input("numbers", default="", optional=True, tooltip=NUMBERS)]

    def read(self, value: Any, inputs: dict[str, Any], clips: list[ClipFile]) -> Any:
        return painted_folder(value, inputs.get("numbers") or "", self.name)


class LookSocket(Socket):
    """A choice of the looks that vidtrans brings along: of paintings and of media."""

    def inputs(self) -> list[io.Input]:
        options = ["", *schemas()["looks"]]
        return [io.Combo.Input(self.name, options=options, default="", optional=True, tooltip=self.tooltip)]


class PaletteSocket(PicturesSocket):
    """A picture, among the advanced inputs."""

    def inputs(self) -> list[io.Input]:
        return [*map(advanced, super().inputs())]


@cache
def schemas() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(Path(__file__).with_name("schemas.json").read_text(encoding="utf-8"))
    return table


def parameters(command: str) -> dict[str, Any]:
    found: dict[str, Any] = schemas()["commands"][command]
    return found


def widgets(command: str, result: str) -> list[io.Input]:
    """Return the inputs of a command: those always shown, the result's name with its default, the advanced ones.

    All are optional: a workflow of an earlier version of the pack, which knows fewer of them, still loads.
    """
    forms: dict[str, list[io.Input]] = {"main": [], "more": []}
    for name, table in parameters(command).items():
        forms[table["x-form"]].append(_widget(command, name))
    for one in forms["main"]:
        one.optional = True
    hint = "Folder and name of the result; what follows them is the same for the same inputs."
    named = io.String.Input("name", default=result, optional=True, tooltip=hint)
    return [*forms["main"], named, *map(advanced, forms["more"])]


def advanced(one: io.Input) -> io.Input:
    """Show an input only with the advanced ones. Versions of ComfyUI differ in the argument, not in this table."""
    one.optional, one.extra_dict["advanced"] = True, True
    return one


def _widget(command: str, name: str) -> io.Input:
    table = parameters(command)[name]
    words: dict[str, Any] = {"tooltip": table.get("description", ""), "default": default_of(command, name)}
    if choices := table.get("enum") or next((o["enum"] for o in table.get("anyOf", ()) if "enum" in o), None):
        options = [one for one in choices if name != "codec" or one not in FOLDER_CODECS]
        return io.Combo.Input(name, options=options if words["default"] in options else ["", *options], **words)
    kind = table["type"]
    if table.get("format") == MEDIUM:
        return io.Combo.Input(name, options=["", *schemas()["media"]], **words)
    if kind == "boolean":
        return io.Boolean.Input(name, **words)
    if kind == "string" or words["default"] == "":  # also a number that vidtrans chooses unless one is written
        return io.String.Input(name, **words)
    low, high = table.get("minimum", table.get("exclusiveMinimum", 0)), table.get("maximum", LARGEST)
    if kind == "integer":
        return io.Int.Input(name, min=low, max=min(high, LARGEST), **words)
    # The type "number", or a list of types: a number or a curve. Curves are written as options.
    return io.Float.Input(name, min=low, max=high, step=0.01 if high <= 4 else 0.5, **words)


def default_of(command: str, name: str) -> Any:
    return DEFAULTS.get((command, name), parameters(command)[name].get("default", ""))


def values_of(command: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a command's widgets that differ from its defaults, in the schema's types."""
    found: dict[str, Any] = {}
    for name, table in parameters(command).items():
        value = inputs.get(name, DEFAULTS.get((command, name)))
        if value is None or value in ("", table.get("default")):
            continue
        if isinstance(value, str) and table["type"] in ("integer", "number"):
            try:
                value = int(value) if table["type"] == "integer" else float(value)
            except ValueError:
                raise ValueError(f"{name}: {value[:80]!r} is no number — write one, or nothing") from None
        found[name] = value
    return found
