"""Jobs for render-farm queues: the commands that render clips in parts, in each queue's format.

A format is a function that takes a ``FarmJob`` and returns the text of a file. Its commands are lines for a POSIX
shell; on Windows this is Git for Windows' bash. ``json`` has lists of arguments, which need no shell.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidtrans.core.registry import Entry, Registry


@dataclass(frozen=True)
class ClipTasks:
    """The farm tasks that render a clip: ``command`` with a part number, for each of ``parts`` parts of its frames.

    ``output_options``: options of the command for writing the result.
    """

    source: str
    output: str
    parts: int
    command: tuple[str, ...]
    output_options: tuple[str, ...] = ()

    @property
    def is_divided(self) -> bool:
        """Return whether the clip is rendered in several parts."""
        return self.parts > 1

    def part_command(self, part: str, *, join: bool = False) -> list[str]:
        """Return the command that renders a ``part``: a number ("3"), a range ("3-5"), or a variable of the queue.

        ``join``: the command also joins the clip's parts, if no part is missing.
        """
        return [*self.command, "--chunk", f"{part}/{self.parts}", *(["--join", *self.output_options] if join else [])]

    @property
    def join_command(self) -> list[str]:
        """Return the command that joins the parts, and fails if a part is missing."""
        return [*self.command, "--join", *self.output_options]

    @property
    def whole_command(self) -> list[str]:
        """Return the command that renders the clip without parts."""
        return [*self.command, *self.output_options]


@dataclass(frozen=True)
class FarmJob:
    """A farm job: commands that render ``clips`` in ``folder`` with the environment variables ``environment``."""

    name: str
    folder: Path
    environment: Mapping[str, str]
    clips: Sequence[ClipTasks]

    def shell_line(self, command: Sequence[str]) -> str:
        """Return a command as a line for a POSIX shell, run in the job's folder and environment."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return f"cd {shlex.quote(str(self.folder))} && {' '.join([*variables, shlex.join(command)])}"


# Registry of the formats of farm jobs: values of --print-jobs
JOB_FORMATS = Registry(
    "job format",
    {
        "commands": Entry(
            "vidtrans.batch.farm.commands:write_commands", "bash commands, one per line: xargs, OpenCue's cuecmd"
        ),
        "json": Entry(
            "vidtrans.batch.farm.json_job:write_json_job", "clips, parts and lists of arguments, for a program"
        ),
        "openjd": Entry(
            "vidtrans.batch.farm.openjd:write_openjd", "an Open Job Description of bash commands: Deadline Cloud"
        ),
        "slurm": Entry("vidtrans.batch.farm.slurm:write_slurm", "a bash script that submits a job array for each clip"),
        "flamenco": Entry("vidtrans.batch.farm.flamenco:write_flamenco", "a job type of Flamenco 3, of bash commands"),
    },
)
