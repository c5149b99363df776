"""An Open Job Description template (openjobdescription 2023-09), as Deadline Cloud takes it, with task chunking.

A step renders the parts of a clip, as many at once as the queue sees fit, and one that depends on it joins them.
"""

from __future__ import annotations

import json

from vidtrans.batch.farm.job import ClipTasks, FarmJob
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table

SHELL = "Its commands run in bash, on Windows too: Git for Windows has it."
MAX_CLIPS = 50  # of a template: it has at most 100 steps
MAX_NAME = 60  # characters of a step's name, of 64, so that a word fits behind it
GROUP_SECONDS = 300  # what a task is to take at least: to load a model for each part would cost more


def write_openjd(job: FarmJob) -> str:
    """Return the template as JSON. Raises UsageError where the format has no way to say it."""
    if len(job.clips) > MAX_CLIPS:
        why = f"a template takes {MAX_CLIPS} clips, and here are {len(job.clips)}"
        raise UsageError("--print-jobs openjd", why, "print one for each part of them: --shard 1/2")
    template = {
        "specificationVersion": "jobtemplate-2023-09",
        "extensions": ["TASK_CHUNKING"],
        "name": _plain(_literal(job.name))[:128],
        "description": SHELL,
        "steps": [step for number, clip in enumerate(job.clips, 1) for step in _steps(job, clip, number)],
    }
    return json.dumps(template, indent=2)


def _steps(job: FarmJob, clip: ClipTasks, number: int) -> list[Table]:
    name = f"{number} {_plain(clip.output)}"[: MAX_NAME - 7]
    if not clip.is_divided:
        return [{"name": name, "script": _script(_literal(job.shell_line(clip.whole_command)))}]
    chunks = {"defaultTaskCount": 1, "targetRuntimeSeconds": GROUP_SECONDS, "rangeConstraint": "CONTIGUOUS"}
    part = {"name": "Part", "type": "CHUNK[INT]", "range": f"1-{clip.parts}", "chunks": chunks}
    line = _literal(job.shell_line(clip.command)) + f' --chunk "{{{{Task.Param.Part}}}}/{clip.parts}"'
    render = {
        "name": f"{name} render",
        "parameterSpace": {"taskParameterDefinitions": [part]},
        "script": _script(line),
    }
    join = {
        "name": f"{name} join",
        "dependencies": [{"dependsOn": render["name"]}],
        "script": _script(_literal(job.shell_line(clip.join_command))),
    }
    return [render, join]


def _script(line: str) -> Table:
    run = {"command": "bash", "args": ["{{Task.File.Run}}"]}
    return {"actions": {"onRun": run}, "embeddedFiles": [{"name": "Run", "type": "TEXT", "data": f"{line}\n"}]}


def _literal(line: str) -> str:
    """Return a line that a template may hold. Raises UsageError on what it would take for a variable of its own."""
    if "{{" in line:
        raise UsageError("--print-jobs openjd", "'{{' in a name or an option is a variable there", "rename it")
    return line


def _plain(text: str) -> str:
    """Return a name without control characters, which a template refuses."""
    return "".join(c if c.isprintable() else "_" for c in text)
