"""Jobs for render-farm queues: the commands that render clips in parts, in each queue's format.

A format is a function that takes a ``FarmJob`` and returns the text of a file. Its commands are lines for a POSIX
shell; on Windows this is Git for Windows' bash. ``json`` has lists of arguments, which need no shell.
"""

from __future__ import annotations

from vidtrans.core.registry import Entry, Registry

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
