"""Properties of scenes, built from the schemas of the commands."""

from __future__ import annotations

import zlib
from typing import Any

import bpy

from .command_lines import FILE, MOVIE_CODECS
from .preferences import interface
from .schemas import UNSET, Field, fields_of

COMMANDS = {"stylize": "Style", "deflicker": "Deflicker", "propagate": "Carry Paint"}
FIELDS: dict[str, list[Field]] = {}
MOST = 2**31 - 1  # of Blender's whole numbers
_classes: list[type] = []


def number_of(word: str) -> int:
    """Return the number by which files store a choice: the same in every version of the list."""
    return zlib.crc32(word.encode()) & 0x3FFFFFFF


def items(words: list[str], help_text: str = "") -> list[tuple[str, str, str, str, int]]:
    """Return words as the items of an enum."""
    return [(word, word.replace("-", " ").capitalize(), help_text, "NONE", number_of(word)) for word in words]


def property_of(field: Field) -> Any:  # noqa: ANN401  (types of Blender)
    """Return a field as a property of Blender."""
    words: dict[str, Any] = {"name": field.title, "description": field.help.rstrip(".")}
    words["options"] = {"ANIMATABLE"} if field.is_curve else set()
    if field.kind == "bool":
        return bpy.props.BoolProperty(**words, default=bool(field.default))
    if field.kind == "enum":
        choices = list(field.choices) if field.default else ["UNSET", *field.choices]
        return bpy.props.EnumProperty(**words, items=items(choices), default=field.default or "UNSET")
    if field.kind in UNSET:
        kind = bpy.props.IntProperty if field.kind == "int" else bpy.props.FloatProperty
        limits = {key: value for key, value in (("min", field.low), ("max", field.high)) if value is not None}
        limits = (
            {key: max(-MOST, min(MOST, int(value))) for key, value in limits.items()} if field.kind == "int" else limits
        )
        default = UNSET[field.kind] if field.default is None else field.default
        if field.default is None:
            words["description"] += f" ({UNSET[field.kind]:g}: vidtrans decides)"
        return kind(**words, **limits, default=default)
    subtype = {"file": "FILE_PATH", "folder": "DIR_PATH"}.get(field.kind, "NONE")
    return bpy.props.StringProperty(**words, subtype=subtype, default=str(field.default or ""))


def settings_class(media: list[str], groups: dict[str, type]) -> type:
    """Return the group of a scene's settings: those of the add-on, and one group for each command."""
    file = (FILE, "Model File…", "A model file, or a picture", "FILE", number_of(FILE))
    choices = [*items([*media, "identity"]), file]
    commands = [(key, label, "", "NONE", at) for at, (key, label) in enumerate(COMMANDS.items()) if key in groups]
    inputs = [("AUTO", "By the Model", ""), ("COLOUR", "Colour", ""), ("GUIDES", "Guides (stack)", "")]
    inputs.append(("LABELS", "Labels (object index)", ""))
    still: dict[str, Any] = {"options": set()}  # one value for a whole clip: Blender offers no keyframes
    fields: dict[str, Any] = {
        "look": bpy.props.EnumProperty(name="Look", items=choices, default="oil" if "oil" in media else FILE, **still),
        "model_file": bpy.props.StringProperty(name="Model File", subtype="FILE_PATH", **still),
        "handle": bpy.props.IntProperty(
            name="Handles",
            description="Frames rendered beyond those that the strip shows, on each side",
            default=12,
            min=0,
            **still,
        ),
        "whole": bpy.props.BoolProperty(name="Whole Clip", description="Render all frames of the file", **still),
        "codec": bpy.props.EnumProperty(name="Codec", items=items(list(MOVIE_CODECS)), default="h264", **still),
        "show_all": bpy.props.BoolProperty(name="All Options", **still),
        "model_input": bpy.props.EnumProperty(name="Input", items=inputs, default="AUTO", **still),
        "pass_depth": bpy.props.BoolProperty(name="Depth", default=True, **still),
        "pass_normal": bpy.props.BoolProperty(name="Normal", default=True, **still),
        "pass_index": bpy.props.BoolProperty(name="Object Index", **still),
    }
    if commands:
        fields["command"] = bpy.props.EnumProperty(name="Do", items=commands, default=commands[0][0], **still)
    fields |= {f"options_{name}": bpy.props.PointerProperty(type=cls) for name, cls in groups.items()}
    return type("VIDTRANS_PG_settings", (bpy.types.PropertyGroup,), {"__annotations__": fields})


def register() -> None:
    """Build the properties from the interface of the program, and add them to scenes."""
    found, groups = interface(), {}
    for name in COMMANDS:
        if schema := found["commands"].get(name):
            FIELDS[name] = [field for field in fields_of(schema) if field.name != "codec"]
            fields = {field.name: property_of(field) for field in FIELDS[name]}
            groups[name] = type(f"VIDTRANS_PG_{name}", (bpy.types.PropertyGroup,), {"__annotations__": fields})
    _classes.extend([*groups.values(), settings_class(found["media"], groups)])
    for cls in _classes:
        bpy.utils.register_class(cls)
    bpy.types.Scene.vidtrans = bpy.props.PointerProperty(type=_classes[-1])


def unregister() -> None:
    """Remove the properties."""
    del bpy.types.Scene.vidtrans
    for cls in reversed(_classes):
        bpy.utils.unregister_class(cls)
    _classes.clear()
    FIELDS.clear()


def rebuild() -> None:
    """Build the properties again, from another version of the program. Values of options that stay are kept."""
    unregister()
    register()


def values_of(scene: Any, command: str) -> dict[str, Any]:  # noqa: ANN401
    """Return the values of a command's options; paths are absolute."""
    group, values = getattr(scene.vidtrans, f"options_{command}"), {}
    for field in FIELDS[command]:
        value = getattr(group, field.name)
        values[field.name] = bpy.path.abspath(value) if field.kind in ("file", "folder") and value else value
    return values
