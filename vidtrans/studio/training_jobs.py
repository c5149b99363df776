"""The trainings among the jobs: what a page may ask of one, and the folder in which it can be watched."""

from __future__ import annotations

from pathlib import PurePosixPath

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.studio.studio_jobs import JobState, StudioJob
from vidtrans.studio.wishes import WishStep

COMMANDS = ("train", "look")  # those with --as-is
FOLDER_SUFFIX = ".train"  # ends the name of the folder of a model's previews
LENGTHS = ("steps", "minutes", "as_is", "fresh")  # options that say how long a run is, and where it begins


def training_table(job: StudioJob, state: JobState, progress: Table, outcome: Table) -> Table:
    """Return what a page receives of a job that trains.

    ``training``: the name of the folder of its previews, '' if it is not known yet; ``as_is``: whether it takes the
    model of an interrupted run; ``can_take``: whether it could; ``can_train_on``: whether its run can go on.
    """
    is_training = job.command in COMMANDS
    as_is = is_training and bool(job.values.get("as_is"))
    return {
        "training": _folder_of(outcome.get("report")) or _folder_of(progress.get("preview")) or _beside(job),
        "as_is": as_is,
        "can_take": is_training and not as_is and state is not JobState.DONE and has_learned(progress),
        "can_train_on": as_is and (state is JobState.FAILED or (state is JobState.DONE and "of_steps" in outcome)),
    }


def has_learned(progress: Table) -> bool:
    """Return whether a job has reported steps of a training."""
    return progress.get("task") == "training" and bool(progress.get("done"))


def _folder_of(name: object) -> str:
    """Return the folder of a file that a training wrote; '' for other files."""
    folder = PurePosixPath(name).parent if isinstance(name, str) else PurePosixPath()
    return str(folder) if folder.name.endswith(FOLDER_SUFFIX) else ""


def _beside(job: StudioJob) -> str:
    """Return the folder beside the model that a training is asked for; '' if the job names none."""
    output = job.values.get("output")
    is_model = job.command in COMMANDS and isinstance(output, str) and output.endswith(".safetensors")
    return str(PurePosixPath(str(output)).with_suffix(FOLDER_SUFFIX)) if is_model else ""


def train_on(job: StudioJob) -> WishStep:
    """Return the command that continues the run of a model that was taken as it is. Raises UsageError."""
    if not job.values.get("as_is"):
        raise UsageError(job.title, "it is no model of an interrupted run", "choose another job")
    return WishStep(job.command, {k: v for k, v in job.values.items() if k != "as_is"}, job.title)


def train_longer(job: StudioJob, outcome: Table) -> WishStep:
    """Return the command that continues a finished run for as many steps again. Raises UsageError."""
    steps = outcome.get("steps")
    if job.command not in COMMANDS or not isinstance(steps, int) or isinstance(steps, bool) or "of_steps" in outcome:
        raise UsageError(job.title, "it is no finished training", "choose another job")
    values = {k: v for k, v in job.values.items() if k not in LENGTHS}
    return WishStep(job.command, values | {"steps": 2 * steps}, f"{job.title}, longer")
