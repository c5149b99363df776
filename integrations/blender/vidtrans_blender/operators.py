"""The buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

from .faults import UserError
from .jobs import JobState
from .monitor import MONITOR
from .preferences import refresh
from .properties import rebuild
from .sequencer import all_strips, sequencer_scene
from .strip_results import JOB, SOURCE, revert
from .strip_sources import KINDS
from .submitting import submit_passes, submit_scene, submit_strip


class Acting:
    """The base of all buttons: a mistake is reported in one line."""

    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012  (as Blender wants it)

    def attempt(self, act: Callable[[], str]) -> set[str]:
        """Call ``act``, and report its message or the mistake."""
        try:
            message = act()
        except UserError as error:
            self.report({"ERROR"}, str(error))  # type: ignore[attr-defined]
            return {"CANCELLED"}
        except OSError as error:
            self.report({"ERROR"}, f"{error.filename}: {error.strerror} — check the disk")  # type: ignore[attr-defined]
            return {"CANCELLED"}
        if message:
            self.report({"INFO"}, message)  # type: ignore[attr-defined]
        return {"FINISHED"}


class VIDTRANS_OT_style_strips(Acting, bpy.types.Operator):  # noqa: N801  (as Blender wants it)
    """Render the selected strips in the background, and put the results in their place"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.style_strips", "Style Strips"

    @classmethod
    def poll(cls, context: Any) -> bool:  # noqa: ANN401
        """Return whether there is a sequencer."""
        return sequencer_scene(context).sequence_editor is not None

    def execute(self, context: Any) -> set[str]:  # noqa: ANN401
        """Submit a job for each strip that is selected."""
        scene = sequencer_scene(context)

        def act() -> str:
            selected = [one for one in all_strips(scene.sequence_editor) if one.select and one.type in (*KINDS, "META")]
            active = scene.sequence_editor.active_strip
            chosen = selected or ([active] if active else [])
            if not chosen:
                raise UserError("no strip is selected — select a movie, image or scene strip")
            for strip in chosen:
                MONITOR.add(submit_strip(scene, strip))
            MONITOR.tick()
            return (
                f"{len(chosen)} strips are being rendered" if len(chosen) > 1 else f"{chosen[0].name} is being rendered"
            )

        return self.attempt(act)


class VIDTRANS_OT_style_scene(Acting, bpy.types.Operator):  # noqa: N801
    """Render the scene in the background, give it to the model, and put the result into a sequencer"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.style_scene", "Style Scene"

    def execute(self, context: Any) -> set[str]:  # noqa: ANN401
        """Submit the job."""

        def act() -> str:
            MONITOR.add(submit_scene(context.scene))
            MONITOR.tick()
            return f"{context.scene.name} is being rendered"

        return self.attempt(act)


class VIDTRANS_OT_render_passes(Acting, bpy.types.Operator):  # noqa: N801
    """Render colour and passes of the scene into a folder, to train a model with"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.render_passes", "Render Passes"

    def execute(self, context: Any) -> set[str]:  # noqa: ANN401
        """Submit the job."""

        def act() -> str:
            job = submit_passes(context.scene)
            MONITOR.add(job)
            MONITOR.tick()
            return f"passes go to {job.output}"

        return self.attempt(act)


class OnJob(Acting):
    """A button of a job."""

    __annotations__ = {"number": bpy.props.IntProperty(options={"HIDDEN"})}


class VIDTRANS_OT_cancel(OnJob, bpy.types.Operator):  # noqa: N801
    """End the job; what is rendered is kept, and Resume goes on from there"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.cancel", "Cancel"
    __annotations__ = OnJob.__annotations__

    def execute(self, context: Any) -> set[str]:  # noqa: ANN401
        """Ask the process to end."""

        def act() -> str:
            MONITOR.find(self.number).cancel()
            MONITOR.watch()
            return ""

        return self.attempt(act)


class VIDTRANS_OT_resume(OnJob, bpy.types.Operator):  # noqa: N801
    """Go on with a job that was cancelled or interrupted, or failed"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.resume", "Resume"
    __annotations__ = OnJob.__annotations__

    def execute(self, context: Any) -> set[str]:  # noqa: ANN401
        """Start the process again."""

        def act() -> str:
            job = MONITOR.find(self.number)
            if job.state() is JobState.RUNNING:
                raise UserError("the job is still running — wait until it has ended")
            job.start()
            MONITOR.watch()
            return ""

        return self.attempt(act)


class VIDTRANS_OT_insert(OnJob, bpy.types.Operator):  # noqa: N801
    """Put the result into the sequencer"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.insert", "Insert"
    __annotations__ = OnJob.__annotations__

    def execute(self, context: Any) -> set[str]:  # noqa: ANN401
        """Insert the strip."""

        def act() -> str:
            job = MONITOR.find(self.number)
            if job.state() is not JobState.READY:
                raise UserError("the job has no result yet — wait, or resume it")
            if MONITOR.insert(job) is None:
                raise UserError(job.message())
            return ""

        return self.attempt(act)


class VIDTRANS_OT_forget(OnJob, bpy.types.Operator):  # noqa: N801
    """Remove the job from the list; its files stay"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.forget", "Remove from List"
    __annotations__ = OnJob.__annotations__

    def execute(self, context: Any) -> set[str]:  # noqa: ANN401
        """Remove the job."""

        def act() -> str:
            job = MONITOR.find(self.number)
            if job.state() is JobState.RUNNING:
                raise UserError("the job is still running — cancel it first")
            job.change(cancelled=True)
            MONITOR.forget(self.number)
            scene = bpy.data.scenes.get(job.record["target"]["scene"])
            if scene and "strip" in job.record["target"]:
                unmark(scene, job.number)
            return ""

        return self.attempt(act)


def unmark(scene: Any, number: int) -> None:  # noqa: ANN401
    """Free the strip of a job for another one."""
    for one in all_strips(scene.sequence_editor) if scene.sequence_editor else []:
        if one.get(JOB) == number:
            del one[JOB]


class VIDTRANS_OT_revert(Acting, bpy.types.Operator):  # noqa: N801
    """Take the result out of the edit, and unmute its source"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.revert", "Restore Source"

    @classmethod
    def poll(cls, context: Any) -> bool:  # noqa: ANN401
        """Return whether the active strip is a result."""
        editor = sequencer_scene(context).sequence_editor
        return bool(editor and editor.active_strip and editor.active_strip.get(SOURCE))

    def execute(self, context: Any) -> set[str]:  # noqa: ANN401
        """Restore the source."""
        scene = sequencer_scene(context)

        def act() -> str:
            scene.sequence_editor.active_strip = revert(scene, scene.sequence_editor.active_strip)
            return ""

        return self.attempt(act)


class VIDTRANS_OT_find_program(Acting, bpy.types.Operator):  # noqa: N801
    """Look for vidtrans, and build the panels from its options"""  # noqa: D415

    bl_idname, bl_label = "vidtrans.find_program", "Find vidtrans"
    bl_options = {"REGISTER"}  # noqa: RUF012

    def execute(self, context: Any) -> set[str]:  # noqa: ANN401
        """Ask the program for its options."""

        def act() -> str:
            if not refresh():
                return "vidtrans is there, its options are known"
            rebuild()
            return "the panels have the options of this vidtrans"

        return self.attempt(act)


CLASSES = (
    VIDTRANS_OT_style_strips,
    VIDTRANS_OT_style_scene,
    VIDTRANS_OT_render_passes,
    VIDTRANS_OT_cancel,
    VIDTRANS_OT_resume,
    VIDTRANS_OT_insert,
    VIDTRANS_OT_forget,
    VIDTRANS_OT_revert,
    VIDTRANS_OT_find_program,
)
