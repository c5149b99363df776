"""The panels: in the sidebar of the sequencer, and in the render properties of a scene."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import bpy

from .command_lines import FILE
from .faults import UserError
from .jobs import JobState
from .monitor import MONITOR
from .preferences import program
from .properties import FIELDS
from .schemas import Field
from .sequencer import sequencer_scene
from .strip_results import SOURCE

MOST_LINE = 46  # letters in a line of a message
BUTTONS = {
    JobState.WAITING: ("vidtrans.cancel",),
    JobState.RUNNING: ("vidtrans.cancel",),
    JobState.READY: ("vidtrans.insert", "vidtrans.forget"),
    JobState.CANCELLED: ("vidtrans.resume", "vidtrans.forget"),
    JobState.INTERRUPTED: ("vidtrans.resume", "vidtrans.forget"),
    JobState.FAILED: ("vidtrans.resume", "vidtrans.forget"),
}


def wrapped(text: str, width: int = MOST_LINE) -> list[str]:
    """Return a text in lines: labels of Blender do not wrap."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def draw_message(layout: Any, text: str, icon: str = "ERROR") -> None:  # noqa: ANN401
    """Draw a message in as many lines as it needs."""
    column = layout.column(align=True)
    for at, line in enumerate(wrapped(text)):
        column.label(text=line, icon="BLANK1" if at else icon)


def draw_program(layout: Any) -> None:  # noqa: ANN401
    """Draw what to do where there is no program."""
    try:
        program()
    except UserError as error:
        draw_message(layout, str(error))
        layout.operator("preferences.addon_show", text="Preferences").module = __package__


def draw_model(layout: Any, settings: Any) -> None:  # noqa: ANN401
    """Draw the choice of the look."""
    layout.prop(settings, "look")
    if settings.look == FILE:
        layout.prop(settings, "model_file")


def is_shown(field: Field, settings: Any) -> bool:  # noqa: ANN401
    """Return whether an option has a sense with the other settings: the looks of a model need a model."""
    return field.name != "look" or settings.look == FILE


def draw_options(layout: Any, settings: Any, command: str) -> None:  # noqa: ANN401
    """Draw the options: the main ones, and the others by their groups where they are unfolded."""
    group, fields = getattr(settings, f"options_{command}"), [one for one in FIELDS[command] if is_shown(one, settings)]
    layout = layout.column()
    layout.use_property_decorate = True  # the dots that set keyframes
    for field in fields:
        if field.is_main:
            layout.prop(group, field.name)
    icon = "DISCLOSURE_TRI_DOWN" if settings.show_all else "DISCLOSURE_TRI_RIGHT"
    layout.prop(settings, "show_all", icon=icon, emboss=False)
    if settings.show_all:
        others = sorted((one for one in fields if not one.is_main), key=lambda one: one.group)
        for title, members in groupby(others, key=lambda one: one.group):
            box = layout.box()
            box.label(text=title)
            for field in members:
                box.prop(group, field.name)


def draw_jobs(layout: Any) -> None:  # noqa: ANN401
    """Draw the jobs of this file."""
    for entry in MONITOR.entries:
        if entry.state is JobState.INSERTED:
            continue
        box = layout.box()
        box.label(text=entry.job.record["title"])
        if entry.state in (JobState.WAITING, JobState.RUNNING):
            box.progress(factor=entry.share, text=entry.text if entry.state is JobState.RUNNING else "waiting")
        elif entry.state is JobState.FAILED or entry.job.record["message"]:
            draw_message(box, entry.text or entry.job.record["message"])
        else:
            box.label(text=entry.state.value.capitalize())
        row = box.row(align=True)
        for button in BUTTONS[entry.state]:
            row.operator(button).number = entry.job.number


class VIDTRANS_PT_strip(bpy.types.Panel):  # noqa: N801  (as Blender wants it)
    """The panel of the sequencer."""

    bl_label, bl_idname = "Vidtrans", "VIDTRANS_PT_strip"
    bl_space_type, bl_region_type, bl_category = "SEQUENCE_EDITOR", "UI", "Vidtrans"

    def draw(self, context: Any) -> None:  # noqa: ANN401
        """Draw the panel."""
        layout, scene = self.layout, sequencer_scene(context)
        layout.use_property_split, layout.use_property_decorate = True, False
        settings, editor = scene.vidtrans, scene.sequence_editor
        draw_program(layout)
        if not FIELDS:
            return
        layout.prop(settings, "command")
        if settings.command == "stylize":
            draw_model(layout, settings)
        draw_options(layout, settings, settings.command)
        row = layout.row()
        row.active = not settings.whole
        row.prop(settings, "handle")
        layout.prop(settings, "whole")
        layout.prop(settings, "codec")
        layout.operator("vidtrans.style_strips", icon="RENDER_ANIMATION")
        if editor and editor.active_strip and editor.active_strip.get(SOURCE):
            layout.operator("vidtrans.revert", icon="LOOP_BACK")
        draw_jobs(layout)


class VIDTRANS_PT_scene(bpy.types.Panel):  # noqa: N801
    """The panel of the render properties."""

    bl_label, bl_idname = "Vidtrans", "VIDTRANS_PT_scene"
    bl_space_type, bl_region_type, bl_context = "PROPERTIES", "WINDOW", "render"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: Any) -> None:  # noqa: ANN401
        """Draw the panel."""
        layout, settings = self.layout, context.scene.vidtrans
        layout.use_property_split, layout.use_property_decorate = True, False
        draw_program(layout)
        if "stylize" not in FIELDS:
            return
        draw_model(layout, settings)
        layout.prop(settings, "model_input")
        column = layout.column(heading="Passes")
        for name in ("pass_depth", "pass_normal", "pass_index"):
            column.prop(settings, name)
        draw_options(layout, settings, "stylize")
        layout.prop(settings, "codec")
        layout.operator("vidtrans.style_scene", icon="RENDER_ANIMATION")
        layout.operator("vidtrans.render_passes", icon="RENDERLAYERS")
        draw_jobs(layout)


CLASSES = (VIDTRANS_PT_strip, VIDTRANS_PT_scene)
