"""Preferences of the add-on, and properties of scenes, which are built from the schemas of the commands."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import bpy

from . import UserError
from .job_files import write_table
from .options import FILE, UNSET, Field, fields_of, read_interface
from .programs import COMMANDS, ask_interface, find_program

FIELDS: dict[str, list[Field]] = {}
MOST = 2**31 - 1  # of Blender's whole numbers
NO_MOVIES = ("auto", "png", "exr", "gif")  # choices of a codec that do not fit a movie strip
PROGRAM = "The vidtrans program; empty to search PATH and the usual places of uv and pipx"
FOLDER = "Folder for results and jobs; empty for a folder vidtrans beside the .blend"
_classes: list[type] = []


class VidtransPreferences(bpy.types.AddonPreferences):
    """The path of the program, and the folder of results."""

    bl_idname = __package__
    __annotations__ = {
        "program": bpy.props.StringProperty(name="Program", description=PROGRAM, subtype="FILE_PATH"),
        "folder": bpy.props.StringProperty(name="Results", description=FOLDER, subtype="DIR_PATH"),
    }

    def draw(self, context: Any) -> None:
        self.layout.prop(self, "program")
        self.layout.prop(self, "folder")
        self.layout.operator("vidtrans.find_program", icon="FILE_REFRESH")
        version = interface().get("version")
        self.layout.label(text=f"Options of vidtrans {version}" if version else "No program found yet")


def preference(name: str) -> str:
    """Return a preference; empty if the add-on is not enabled as one."""
    addon = bpy.context.preferences.addons.get(__package__)
    value = getattr(addon.preferences, name, "") if addon and addon.preferences else ""
    return bpy.path.abspath(value) if value else ""


def program() -> Path:
    return find_program(preference("program"))


def work_folder() -> Path:
    """Return the folder for results and jobs: the one of the preferences, or one beside the saved file."""
    if chosen := preference("folder"):
        return Path(chosen).expanduser()
    if not bpy.data.filepath:
        why = "this file was never saved, and results are stored beside it"
        raise UserError(f"{why} — save it (Ctrl S), then try again")
    return Path(bpy.data.filepath).parent / "vidtrans"


def config_path(name: str) -> Path:
    folder = bpy.utils.user_resource("CONFIG", path="vidtrans", create=True)
    return Path(folder or bpy.app.tempdir) / name


def interface() -> dict[str, Any]:
    """Return the schemas and looks that the panel is built from: those of the program that was found last."""
    return read_interface(config_path("interface.json"))


def refresh() -> bool:
    """Ask the program for its schemas and looks, and build the properties again if they changed.

    Values of options that stay are kept. Returns whether they changed. Raises UserError.
    """
    found = ask_interface(program())
    if found == interface():
        return False
    write_table(config_path("interface.json"), found)
    unregister()
    register()
    return True


def number_of(word: str) -> int:
    """Return the number by which files store a choice: the same in every version of the list."""
    return zlib.crc32(word.encode()) & 0x3FFFFFFF


def items(words: list[str]) -> list[tuple[str, str, str, str, int]]:
    return [(word, word.replace("-", " ").capitalize(), "", "NONE", number_of(word)) for word in words]


def property_of(field: Field) -> Any:
    words: dict[str, Any] = {"name": field.title, "description": field.help.rstrip(".")}
    words["options"] = {"ANIMATABLE"} if field.is_curve else set()
    if field.kind == "bool":
        return bpy.props.BoolProperty(**words, default=bool(field.default))
    if field.kind == "enum":
        choices = list(field.choices) if field.default else ["UNSET", *field.choices]
        return bpy.props.EnumProperty(**words, items=items(choices), default=field.default or "UNSET")
    if field.kind in UNSET:
        words |= {key: value for key, value in (("min", field.low), ("max", field.high)) if value is not None}
        words["default"] = UNSET[field.kind] if field.default is None else field.default
        if field.default is None:
            words["description"] += f" ({UNSET[field.kind]:g}: vidtrans decides)"
        if field.kind == "float":
            return bpy.props.FloatProperty(**words)
        limits = {key: max(-MOST, min(MOST, int(words[key]))) for key in ("min", "max") if key in words}
        return bpy.props.IntProperty(**words | limits)
    subtype = {"file": "FILE_PATH", "folder": "DIR_PATH"}.get(field.kind, "NONE")
    return bpy.props.StringProperty(**words, subtype=subtype, default=str(field.default or ""))


def settings_class(looks: list[str], codecs: list[str], groups: dict[str, type]) -> type:
    """Return the group of a scene's settings: those of the add-on, and one group for each command."""
    file = (FILE, "Model File…", "A model file, or a picture", "FILE", number_of(FILE))
    choices = [*items([*looks, "identity"]), file]
    commands = [(key, label, "", "NONE", at) for at, (key, label) in enumerate(COMMANDS.items()) if key in groups]
    inputs = [("AUTO", "By the Model", ""), ("COLOUR", "Colour", ""), ("GUIDES", "Guides (stack)", "")]
    inputs.append(("LABELS", "Labels (object index)", ""))
    handle = "Frames rendered beyond those that the strip shows, on each side"
    still: dict[str, Any] = {"options": set()}  # one value for a whole clip: Blender offers no keyframes
    fields: dict[str, Any] = {
        "look": bpy.props.EnumProperty(name="Look", items=choices, default="oil" if "oil" in looks else FILE, **still),
        "model_file": bpy.props.StringProperty(name="Model File", subtype="FILE_PATH", **still),
        "handle": bpy.props.IntProperty(name="Handles", description=handle, default=12, min=0, **still),
        "whole": bpy.props.BoolProperty(name="Whole Clip", description="Render all frames of the file", **still),
        "codec": bpy.props.EnumProperty(name="Codec", items=items(codecs), default="h264", **still),
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
    found, groups, codecs = interface(), {}, ["h264"]
    for name in COMMANDS:
        if schema := found["commands"].get(name):
            fields = fields_of(schema)
            choices = [one for field in fields if field.name == "codec" for one in field.choices]
            codecs += [one for one in choices if one not in (*NO_MOVIES, *codecs)]
            FIELDS[name] = [field for field in fields if field.name != "codec"]
            annotations = {field.name: property_of(field) for field in FIELDS[name]}
            groups[name] = type(f"VIDTRANS_PG_{name}", (bpy.types.PropertyGroup,), {"__annotations__": annotations})
    _classes.extend([*groups.values(), settings_class(found["looks"], codecs, groups)])
    for cls in _classes:
        bpy.utils.register_class(cls)
    bpy.types.Scene.vidtrans = bpy.props.PointerProperty(type=_classes[-1])


def unregister() -> None:
    del bpy.types.Scene.vidtrans
    for cls in reversed(_classes):
        bpy.utils.unregister_class(cls)
    _classes.clear()
    FIELDS.clear()


def values_of(scene: Any, command: str) -> dict[str, Any]:
    """Return the values of a command's options; paths are absolute."""
    group, values = getattr(scene.vidtrans, f"options_{command}"), {}
    for field in FIELDS[command]:
        value = getattr(group, field.name)
        values[field.name] = bpy.path.abspath(value) if field.kind in ("file", "folder") and value else value
    return values
