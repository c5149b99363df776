"""The panels, in the sidebar of the sequencer and in the render properties of a scene, and their buttons.

The docstring of a button is its description in Blender.
"""

from __future__ import annotations

import textwrap
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
BUTTONS = dict.fromkeys(JobState, ("vidtrans.resume", "vidtrans.forget"))
BUTTONS |= dict.fromkeys(ACTIVE, ("vidtrans.cancel",)) | {JobState.READY: ("vidtrans.insert", "vidtrans.forget")}


class Button:
    """The base of all buttons: a mistake is reported in one line."""

    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012  (as Blender wants it)

    def execute(self, context: Any) -> set[str]:  # noqa: ANN401  (types of Blender)
        """Act, and report the message or the mistake."""
        try:
            message = self.act(context)
        except UserError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        except OSError as error:
            self.report({"ERROR"}, f"{error.filename}: {error.strerror} — check the disk")
            return {"CANCELLED"}
        if message:
            self.report({"INFO"}, message)
        return {"FINISHED"}


class VIDTRANS_OT_style_strips(Button, bpy.types.Operator):  # noqa: N801  (as Blender wants it)
    """Render the selected strips in the background, and put the results in their place"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.style_strips", "Style Strips"

    @classmethod
    def poll(cls, context: Any) -> bool:  # noqa: ANN401
        return sequencer_scene(context).sequence_editor is not None

    def act(self, context: Any) -> str:  # noqa: ANN401
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


class VIDTRANS_OT_style_scene(Button, bpy.types.Operator):  # noqa: N801
    """Render the scene in the background, give it to the model, and put the result into a sequencer"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.style_scene", "Style Scene"

    def act(self, context: Any) -> str:  # noqa: ANN401
        MONITOR.add(submit_scene(context.scene))
        MONITOR.tick()
        return f"{context.scene.name} is being rendered"


class VIDTRANS_OT_render_passes(Button, bpy.types.Operator):  # noqa: N801
    """Render colour and passes of the scene into a folder, to train a model with"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.render_passes", "Render Passes"

    def act(self, context: Any) -> str:  # noqa: ANN401
        job = submit_passes(context.scene)
        MONITOR.add(job)
        MONITOR.tick()
        return f"passes go to {job.output}"


class JobButton(Button):
    """The base of the buttons of a job."""

    __annotations__ = {"number": bpy.props.IntProperty(options={"HIDDEN"})}

    def act(self, context: Any) -> str:  # noqa: ANN401
        self.act_on(MONITOR.find(self.number))
        return ""


class VIDTRANS_OT_cancel(JobButton, bpy.types.Operator):  # noqa: N801
    """End the job; what is rendered is kept, and Resume goes on from there"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.cancel", "Cancel"
    __annotations__ = JobButton.__annotations__

    def act_on(self, job: StripJob) -> None:
        job.cancel()
        MONITOR.watch()


class VIDTRANS_OT_resume(JobButton, bpy.types.Operator):  # noqa: N801
    """Go on with a job that was cancelled or interrupted, or failed"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.resume", "Resume"
    __annotations__ = JobButton.__annotations__

    def act_on(self, job: StripJob) -> None:
        if job.state() is JobState.RUNNING:
            raise UserError("the job is still running — wait until it has ended")
        job.start()
        MONITOR.watch()


class VIDTRANS_OT_insert(JobButton, bpy.types.Operator):  # noqa: N801
    """Put the result into the sequencer"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.insert", "Insert"
    __annotations__ = JobButton.__annotations__

    def act_on(self, job: StripJob) -> None:
        if job.state() is not JobState.READY:
            raise UserError("the job has no result yet — wait, or resume it")
        if MONITOR.insert(job) is None:
            raise UserError(job.message())


class VIDTRANS_OT_forget(JobButton, bpy.types.Operator):  # noqa: N801
    """Remove the job from the list; its files stay"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.forget", "Remove from List"
    __annotations__ = JobButton.__annotations__

    def act_on(self, job: StripJob) -> None:
        if job.state() is JobState.RUNNING:
            raise UserError("the job is still running — cancel it first")
        job.change(cancelled=True)
        MONITOR.forget(self.number)
        scene = bpy.data.scenes.get(job.record["target"]["scene"])
        if scene and "strip" in job.record["target"]:
            for one in all_strips(scene):  # another job may take the strip
                if one.get(JOB) == job.number:
                    del one[JOB]


class VIDTRANS_OT_revert(Button, bpy.types.Operator):  # noqa: N801
    """Take the result out of the edit, and unmute its source"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.revert", "Restore Source"

    @classmethod
    def poll(cls, context: Any) -> bool:  # noqa: ANN401
        return is_result_active(sequencer_scene(context))

    def act(self, context: Any) -> str:  # noqa: ANN401
        scene = sequencer_scene(context)
        scene.sequence_editor.active_strip = revert(scene, scene.sequence_editor.active_strip)
        return ""


class VIDTRANS_OT_find_program(Button, bpy.types.Operator):  # noqa: N801
    """Look for vidtrans, and build the panels from its options"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.find_program", "Find vidtrans"
    bl_options = {"REGISTER"}  # noqa: RUF012

    def act(self, context: Any) -> str:  # noqa: ANN401
        if refresh():
            return "the panels have the options of this vidtrans"
        return "vidtrans is there, its options are known"


def is_result_active(scene: Any) -> bool:  # noqa: ANN401
    """Return whether the active strip of a scene's sequencer is a result."""
    editor = scene.sequence_editor
    return bool(editor and editor.active_strip and editor.active_strip.get(SOURCE))


def draw_message(layout: Any, text: str) -> None:  # noqa: ANN401
    column = layout.column(align=True)
    for at, line in enumerate(textwrap.wrap(text, MOST_LINE, break_long_words=False, break_on_hyphens=False)):
        column.label(text=line, icon="BLANK1" if at else "ERROR")


def draw_program(layout: Any) -> None:  # noqa: ANN401
    """Draw what to do where there is no program."""
    try:
        program()
    except UserError as error:
        draw_message(layout, str(error))
        layout.operator("preferences.addon_show", text="Preferences").module = __package__


def draw_model(layout: Any, settings: Any) -> None:  # noqa: ANN401
    layout.prop(settings, "look")
    if settings.look == FILE:
        layout.prop(settings, "model_file")


def draw_options(layout: Any, settings: Any, command: str) -> None:  # noqa: ANN401
    """Draw the options: the main ones, and the others by their groups where they are unfolded."""
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


def draw_jobs(layout: Any) -> None:  # noqa: ANN401
    """Draw the jobs of this file."""
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
        for button in BUTTONS[entry.state]:
            row.operator(button).number = entry.job.number


class VIDTRANS_PT_strip(bpy.types.Panel):  # noqa: N801
    """The panel of the sequencer."""

    bl_label, bl_idname = "Vidtrans", "VIDTRANS_PT_strip"
    bl_space_type, bl_region_type, bl_category = "SEQUENCE_EDITOR", "UI", "Vidtrans"

    def draw(self, context: Any) -> None:  # noqa: ANN401
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
        if is_result_active(scene):
            layout.operator("vidtrans.revert", icon="LOOP_BACK")
        draw_jobs(layout)


class VIDTRANS_PT_scene(bpy.types.Panel):  # noqa: N801
    """The panel of the render properties."""

    bl_label, bl_idname = "Vidtrans", "VIDTRANS_PT_scene"
    bl_space_type, bl_region_type, bl_context = "PROPERTIES", "WINDOW", "render"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: Any) -> None:  # noqa: ANN401
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


CLASSES = (
    VidtransPreferences,
    VIDTRANS_OT_style_strips,
    VIDTRANS_OT_style_scene,
    VIDTRANS_OT_render_passes,
    VIDTRANS_OT_cancel,
    VIDTRANS_OT_resume,
    VIDTRANS_OT_insert,
    VIDTRANS_OT_forget,
    VIDTRANS_OT_revert,
    VIDTRANS_OT_find_program,
    VIDTRANS_PT_strip,
    VIDTRANS_PT_scene,
)
