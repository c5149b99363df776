"""Jobs for render-farm queues: the commands that render clips in parts, in each queue's format.

A format is a function that takes a ``FarmJob`` and returns the text of a file. Its commands are lines for a POSIX
shell; on Windows this is Git for Windows' bash. The formats that are of no certain queue are in this file.
"""

from __future__ import annotations

import json
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


def write_commands(job: FarmJob) -> str:
    """Return the job as lines for a POSIX shell, for queues without dependencies between tasks.

    The commands may run in any order; the part that ends last joins the clip.
    """
    lines: list[str] = []
    for clip in job.clips:
        if clip.is_divided:
            commands = [clip.part_command(str(part), join=True) for part in range(1, clip.parts + 1)]
        else:
            commands = [clip.whole_command]
        lines += map(job.shell_line, commands)
    return "\n".join(lines)


def write_json_job(job: FarmJob) -> str:
    """Return the job as JSON text; ``part`` and ``join`` are lists of arguments, null for a clip of one part."""
    clips = [
        {
            "source": clip.source,
            "output": clip.output,
            "parts": clip.parts,
            "command": clip.whole_command,
            "part": clip.part_command("{part}") if clip.is_divided else None,  # A number, or a range such as 3-5
            "join": clip.join_command if clip.is_divided else None,
        }
        for clip in job.clips
    ]
    table = {"name": job.name, "folder": str(job.folder), "environment": dict(job.environment), "clips": clips}
    return json.dumps(table, indent=2)


# Registry of the formats of farm jobs: values of --print-jobs
JOB_FORMATS = Registry(
    "job format",
    {
        "commands": Entry(
            "vidtrans.batch.farm:write_commands", "bash commands, one per line, for xargs or OpenCue's cuecmd"
        ),
        "json": Entry(
            "vidtrans.batch.farm:write_json_job", "JSON with clips, parts and argument lists, for other programs"
        ),
        "openjd": Entry(
            "vidtrans.batch.farm.openjd:write_openjd", "an Open Job Description with bash commands, for Deadline Cloud"
        ),
        "slurm": Entry(
            "vidtrans.batch.farm.slurm:write_slurm", "a bash script that submits a Slurm job array for each clip"
        ),
        "flamenco": Entry("vidtrans.batch.farm.flamenco:write_flamenco", "a Flamenco 3 job type with bash commands"),
    },
)
