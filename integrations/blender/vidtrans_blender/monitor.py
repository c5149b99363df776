"""Watch jobs by a timer: start the next one, show progress, put results into the sequencer."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from . import UserError
from .jobs import MOST_STARTS, JobState, StripJob, jobs_in
from .properties import config_path, work_folder
from .strip_results import JOB, insert_movie, insert_result, strip_of

INTERVAL_S = 0.5
ACTIVE = (JobState.WAITING, JobState.RUNNING)


@dataclass
class JobEntry:
    """A job as the panel shows it."""

    job: StripJob
    state: JobState
    share: float = 0.0
    text: str = ""


class JobMonitor:
    """The jobs of the open file."""

    def __init__(self) -> None:
        self.entries: list[JobEntry] = []

    def load(self) -> None:
        """Find the jobs of the file that was opened; start again those whose process was killed."""
        self.entries = []
        try:
            folder = work_folder() / "jobs"
        except UserError:
            return
        for job in jobs_in(folder):
            if Path(job.record["target"].get("blend", "")) != Path(bpy.data.filepath):
                continue
            state = job.state()
            if state is JobState.INSERTED and has_mark(job):  # the file was closed without saving, or the result undone
                job.change(inserted=False, held=True)
                state = JobState.READY
            if state is JobState.INTERRUPTED and job.record["starts"] < MOST_STARTS:
                self._start(job)
            if state not in (JobState.INSERTED, JobState.CANCELLED):
                self.entries.append(JobEntry(job, state))

    def add(self, job: StripJob) -> None:
        """Add a new job, and watch it."""
        self.entries.append(JobEntry(job, JobState.WAITING))
        self.watch()

    def find(self, number: int) -> StripJob:
        found = next((entry.job for entry in self.entries if entry.job.number == number), None)
        if found is None:
            raise UserError(f"there is no job {number} — open the file that it belongs to")
        return found

    def watch(self) -> None:
        """Start the timer, if it does not run. Without a window nothing calls timers: see ``run_until_done``."""
        if not bpy.app.background and not bpy.app.timers.is_registered(on_timer):
            bpy.app.timers.register(on_timer, first_interval=0.1, persistent=True)

    def tick(self) -> bool:
        """Look at all jobs; return whether one of them is active."""
        for entry in self.entries:
            entry.state = entry.job.state()
            entry.share, entry.text = entry.job.progress()
            if entry.state is JobState.FAILED:
                entry.text = entry.job.message()
            elif entry.state is JobState.READY:
                if not entry.job.record.get("held"):
                    self.insert(entry.job)
                    entry.state = entry.job.state()
                entry.text = entry.job.record["message"] or "done"
        if not any(entry.state is JobState.RUNNING for entry in self.entries):
            waiting = next((entry for entry in self.entries if entry.state is JobState.WAITING), None)
            if waiting:
                self._start(waiting.job)
        return any(entry.state in ACTIVE for entry in self.entries)

    def _start(self, job: StripJob) -> None:
        try:
            job.start()
        except UserError as error:
            with suppress(OSError):  # of a folder that cannot be written
                job.change(message=str(error), cancelled=True)

    def insert(self, job: StripJob) -> Any:
        """Put the result of a job into the sequencer; None if that fails, and the job then has the message."""
        strip, message = None, ""
        try:
            strip = put(job)
        except UserError as error:
            message = str(error)
        except RuntimeError as error:  # an operator of Blender refuses
            message = f"{job.output}: Blender could not insert it ({str(error).strip()}) — add it by hand"
        with suppress(OSError):  # of a full disk: the sequencer has the result all the same
            job.change(inserted=strip is not None, held=strip is None, message=message)
        if strip is not None and not bpy.app.background:
            with suppress(RuntimeError):  # without a window
                bpy.ops.ed.undo_push(message=f"Insert {strip.name}")
        return strip

    def compare_with_edit(self) -> None:
        """Offer results again that an undo has taken out, and no longer those that a redo has put back."""
        for entry in self.entries:
            is_undone = entry.state is JobState.INSERTED and has_mark(entry.job)
            is_redone = entry.state is JobState.READY and entry.job.record.get("undone") and not has_mark(entry.job)
            if is_undone or is_redone:
                with suppress(OSError):
                    entry.job.change(inserted=not is_undone, held=is_undone, undone=is_undone, message="")
                entry.state, entry.text = entry.job.state(), "done"

    def run_until_done(self, limit_s: float = 3600.0) -> None:
        """Wait for all jobs, for scripts without a window. Raises UserError if one fails, or after ``limit_s``."""
        end = time.monotonic() + limit_s
        while self.tick():
            if time.monotonic() > end:
                raise UserError(f"the jobs are not done after {limit_s:g} s")
            time.sleep(INTERVAL_S / 5)
        for entry in self.entries:
            if entry.state in (JobState.FAILED, JobState.READY):
                raise UserError(entry.job.message() or entry.text)


def has_mark(job: StripJob) -> bool:
    """Return whether the strip of a job still waits for its result."""
    target = job.record["target"]
    scene = bpy.data.scenes.get(target.get("scene", ""))
    if scene is None or "strip" not in target:
        return False
    try:
        return strip_of(scene, job.number, target["strip"]).get(JOB) == job.number
    except UserError:
        return False


def put(job: StripJob) -> Any:
    target = job.record["target"]
    scene = bpy.data.scenes.get(target["scene"])
    if scene is None:
        raise UserError(f"the scene {target['scene']} is gone — add {job.output} by hand")
    if target["kind"] == "PASSES":
        return scene
    if target["kind"] == "SHOT":
        return insert_movie(scene, job.output, target["first"], f"{scene.name} ({target['label']})")
    return insert_result(scene, job.number, target, job.output)


MONITOR = JobMonitor()


def on_timer() -> float | None:
    """Look at the jobs, redraw the panels; end when nothing is active."""
    if bpy.app.is_job_running("RENDER"):  # the edit must not change now
        return INTERVAL_S
    is_active = MONITOR.tick()
    for area in (area for window in bpy.context.window_manager.windows for area in window.screen.areas):
        if area.type in ("SEQUENCE_EDITOR", "PROPERTIES"):
            area.tag_redraw()
    return INTERVAL_S if is_active else None


@bpy.app.handlers.persistent
def on_undo(*_: object) -> None:
    MONITOR.compare_with_edit()


@bpy.app.handlers.persistent
def on_load(*_: object) -> None:
    if not bpy.app.background:
        MONITOR.load()
        MONITOR.watch()


HANDLERS = ((bpy.app.handlers.load_post, on_load), (bpy.app.handlers.undo_post, on_undo))
HANDLERS += ((bpy.app.handlers.redo_post, on_undo),)


def register() -> None:
    StripJob.key_file = config_path("job.key")
    for handlers, handler in HANDLERS:
        handlers.append(handler)
    if not bpy.app.background:  # the data of the file cannot be read while add-ons are enabled
        bpy.app.timers.register(on_load, first_interval=0.2)


def unregister() -> None:
    for handlers, handler in HANDLERS:
        handlers.remove(handler)
    for timer in (on_timer, on_load):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)
    MONITOR.entries.clear()
