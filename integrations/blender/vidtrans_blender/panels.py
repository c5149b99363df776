"""The panels, in the sidebar of the sequencer and in the render properties of a scene, and their buttons."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from itertools import groupby
from typing import Any

import bpy

from . import UserError
from .jobs import JobState, StripJob
from .monitor import ACTIVE, MONITOR
from .options import FILE
from .properties import FIELDS, VidtransPreferences, program, refresh
from .sequencer import all_strips, sequencer_scene
from .strip_results import JOB, SOURCE, revert
from .strip_sources import KINDS
from .submitting import submit_passes, submit_scene, submit_strip

MOST_LINE = 46  # letters in a line of a message: labels of Blender do not wrap
BUTTONS = dict.fromkeys(JobState, ("vidtrans.resume", "vidtrans.forget"))  # of a job, by its state
BUTTONS |= dict.fromkeys(ACTIVE, ("vidtrans.cancel",)) | {JobState.READY: ("vidtrans.insert", "vidtrans.forget")}
CLASSES: list[type] = [VidtransPreferences]


def button(
    name: str,
    label: str,
    *,
    poll: Callable[[Any], bool] | None = None,
    of_job: bool = False,
    options: tuple[str, ...] = ("REGISTER", "UNDO"),
) -> Callable[[Callable[[Any], str | None]], None]:
    """Make a function a button: the operator ``vidtrans.NAME``, which reports its message, or a mistake in one line.

    The function takes the context, or the job of which the button is. Its docstring is the description in Blender.
    """

    def add(act: Callable[[Any], str | None]) -> None:
        def execute(self: Any, context: Any) -> set[str]:
            try:
                message = act(MONITOR.find(self.number) if of_job else context)
            except UserError as error:
                self.report({"ERROR"}, str(error))
                return {"CANCELLED"}
            except OSError as error:
                self.report({"ERROR"}, f"{error.filename}: {error.strerror} — check the disk")
                return {"CANCELLED"}
            if message:
                self.report({"INFO"}, message)
            return {"FINISHED"}

        fields: dict[str, Any] = {"bl_idname": f"vidtrans.{name}", "bl_label": label, "bl_options": set(options)}
        fields |= {"bl_description": (act.__doc__ or "").removesuffix("."), "execute": execute}
        if poll:
            fields["poll"] = classmethod(lambda _, context: poll(context))
        if of_job:
            fields["__annotations__"] = {"number": bpy.props.IntProperty(options={"HIDDEN"})}
        CLASSES.append(type(f"VIDTRANS_OT_{name}", (bpy.types.Operator,), fields))

    return add


@button("style_strips", "Style Strips", poll=lambda context: sequencer_scene(context).sequence_editor is not None)
def style_strips(context: Any) -> str:
    """Render the selected strips in the background, and put the results in their place."""
    scene = sequencer_scene(context)
    selected = [one for one in all_strips(scene) if one.select and one.type in (*KINDS, "META")]
    active = scene.sequence_editor.active_strip
    chosen = selected or ([active] if active else [])
    if not chosen:
        raise UserError("no strip is selected — select a movie, image or scene strip")
    for strip in chosen:
        MONITOR.add(submit_strip(scene, strip))
    MONITOR.tick()
    return f"{len(chosen)} strips are being rendered" if len(chosen) > 1 else f"{chosen[0].name} is being rendered"


@button("style_scene", "Style Scene")
def style_scene(context: Any) -> str:
    """Render the scene in the background, give it to the model, and put the result into a sequencer."""
    MONITOR.add(submit_scene(context.scene))
    MONITOR.tick()
    return f"{context.scene.name} is being rendered"


@button("render_passes", "Render Passes")
def render_passes(context: Any) -> str:
    """Render colour and passes of the scene into a folder, to train a model with."""
    job = submit_passes(context.scene)
    MONITOR.add(job)
    MONITOR.tick()
    return f"passes go to {job.output}"


@button("cancel", "Cancel", of_job=True)
def cancel(job: StripJob) -> None:
    """End the job. Rendered frames are kept, and Resume continues with the others."""
    job.cancel()
    MONITOR.watch()


@button("resume", "Resume", of_job=True)
def resume(job: StripJob) -> None:
    """Go on with a job that was cancelled or interrupted, or failed."""
    if job.state() is JobState.RUNNING:
        raise UserError("the job is still running — wait until it has ended")
    job.start()
    MONITOR.watch()


@button("insert", "Insert", of_job=True)
def insert(job: StripJob) -> None:
    """Put the result into the sequencer."""
    if job.state() is not JobState.READY:
        raise UserError("the job has no result yet — wait, or resume it")
    if MONITOR.insert(job) is None:
        raise UserError(job.message())


@button("forget", "Remove from List", of_job=True)
def forget(job: StripJob) -> None:
    """Remove the job from the list; its files stay."""
    if job.state() is JobState.RUNNING:
        raise UserError("the job is still running — cancel it first")
    job.change(cancelled=True)
    MONITOR.entries = [entry for entry in MONITOR.entries if entry.job.number != job.number]
    scene = bpy.data.scenes.get(job.record["target"]["scene"])
    if scene and "strip" in job.record["target"]:
        for one in all_strips(scene):  # another job may take the strip
            if one.get(JOB) == job.number:
                del one[JOB]


def is_result_active(context: Any) -> bool:
    editor = sequencer_scene(context).sequence_editor
    return bool(editor and editor.active_strip and editor.active_strip.get(SOURCE))


@button("revert", "Restore Source", poll=is_result_active)
def restore_source(context: Any) -> None:
    """Take the result out of the edit, and unmute its source."""
    scene = sequencer_scene(context)
    scene.sequence_editor.active_strip = revert(scene, scene.sequence_editor.active_strip)


@button("find_program", "Find vidtrans", options=("REGISTER",))
def find_vidtrans(context: Any) -> str:
    """Look for vidtrans, and build the panels from its options."""
    if refresh():
        return "the panels have the options of this vidtrans"
    return "vidtrans is there, its options are known"


def draw_message(layout: Any, text: str) -> None:
    column = layout.column(align=True)
    for at, line in enumerate(textwrap.wrap(text, MOST_LINE, break_long_words=False, break_on_hyphens=False)):
        column.label(text=line, icon="BLANK1" if at else "ERROR")


def draw_program(layout: Any) -> None:
    try:
        program()
    except UserError as error:
        draw_message(layout, str(error))
        layout.operator("preferences.addon_show", text="Preferences").module = __package__


def draw_model(layout: Any, settings: Any) -> None:
    layout.prop(settings, "look")
    if settings.look == FILE:
        layout.prop(settings, "model_file")


def draw_options(layout: Any, settings: Any, command: str) -> None:
    group = getattr(settings, f"options_{command}")
    # The look of a model needs a model.
    fields = [field for field in FIELDS[command] if field.name != "look" or settings.look == FILE]
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


def draw_jobs(layout: Any) -> None:
    for entry in MONITOR.entries:
        if entry.state is JobState.INSERTED:
            continue
        box = layout.box()
        box.label(text=entry.job.record["title"])
        if entry.state in ACTIVE:
            box.progress(factor=entry.share, text=entry.text if entry.state is JobState.RUNNING else "waiting")
        elif entry.state is JobState.FAILED or entry.job.record["message"]:
            draw_message(box, entry.text or entry.job.record["message"])
        else:
            box.label(text=entry.state.value.capitalize())
        row = box.row(align=True)
        for operator in BUTTONS[entry.state]:
            row.operator(operator).number = entry.job.number


class VIDTRANS_PT_strip(bpy.types.Panel):  # noqa: N801  (as Blender wants it)
    """The panel of the sequencer."""

    bl_label, bl_idname = "Vidtrans", "VIDTRANS_PT_strip"
    bl_space_type, bl_region_type, bl_category = "SEQUENCE_EDITOR", "UI", "Vidtrans"

    def draw(self, context: Any) -> None:
        layout, scene = self.layout, sequencer_scene(context)
        layout.use_property_split, layout.use_property_decorate = True, False
        settings = scene.vidtrans
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
        if is_result_active(context):
            layout.operator("vidtrans.revert", icon="LOOP_BACK")
        draw_jobs(layout)


class VIDTRANS_PT_scene(bpy.types.Panel):  # noqa: N801
    """The panel of the render properties."""

    bl_label, bl_idname = "Vidtrans", "VIDTRANS_PT_scene"
    bl_space_type, bl_region_type, bl_context = "PROPERTIES", "WINDOW", "render"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: Any) -> None:
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


CLASSES += [VIDTRANS_PT_strip, VIDTRANS_PT_scene]
