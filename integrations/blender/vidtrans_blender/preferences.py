"""Preferences of the add-on, and the program that they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .job_files import write_table
from .programs import ask_interface, find_program
from .schemas import read_interface

CACHE = "interface.json"


class VidtransPreferences(bpy.types.AddonPreferences):
    """The path of the program, and the folder of results."""

    bl_idname = __package__
    __annotations__ = {
        "program": bpy.props.StringProperty(
            name="Program",
            description="The vidtrans program; empty to search PATH and the usual places of uv and pipx",
            subtype="FILE_PATH",
        ),
        "folder": bpy.props.StringProperty(
            name="Results",
            description="Folder for results and jobs; empty for a folder vidtrans beside the .blend",
            subtype="DIR_PATH",
        ),
    }

    def draw(self, context: Any) -> None:  # noqa: ANN401  (the interface of Blender)
        """Draw the preferences."""
        self.layout.prop(self, "program")
        self.layout.prop(self, "folder")
        self.layout.operator("vidtrans.find_program", icon="FILE_REFRESH")
        found = interface()
        self.layout.label(
            text=f"Options of vidtrans {found['version']}" if found.get("version") else "No program found yet"
        )


def preference(name: str) -> str:
    """Return a preference; empty if the add-on is not enabled as one."""
    addon = bpy.context.preferences.addons.get(__package__)
    value = getattr(addon.preferences, name, "") if addon and addon.preferences else ""
    return bpy.path.abspath(value) if value else ""


def program() -> Path:
    """Return the path of the program. Raises UserError."""
    return find_program(preference("program"))


def cache_path() -> Path:
    """Return where the interface of the program that was found last is stored."""
    folder = bpy.utils.user_resource("CONFIG", path="vidtrans", create=True)
    return Path(folder or bpy.app.tempdir) / CACHE


def interface() -> dict[str, Any]:
    """Return the schemas and media that the panel is built from."""
    return read_interface(cache_path())


def refresh() -> bool:
    """Ask the program for its schemas and media; return whether they changed. Raises UserError."""
    before, found = interface(), ask_interface(program())
    if found == before:
        return False
    write_table(cache_path(), found)
    return True
