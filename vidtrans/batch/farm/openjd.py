"""An Open Job Description template (openjobdescription 2023-09) with task chunking, for Deadline Cloud.

One step renders the parts of a clip, as many per task as the queue chooses, and a dependent step joins them.
"""

from __future__ import annotations

import json

from vidtrans.batch.farm import ClipTasks, FarmJob
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table

SHELL = "Its commands run in bash, on Windows too: Git for Windows has it."
MAX_CLIPS = 50  # per template, which may have at most 100 steps
MAX_NAME = 60  # characters of a step's name; the format allows 64
GROUP_SECONDS = 300  # target duration of a task, as shorter tasks would mostly load the model


def write_openjd(job: FarmJob) -> str:
    """Return the template as JSON. Raises UsageError if the format cannot express the job."""
    if len(job.clips) > MAX_CLIPS:
        why = f"a template holds at most {MAX_CLIPS} clips (got {len(job.clips)})"
        raise UsageError("--print-jobs openjd", why, "print several templates: --shard 1/2, --shard 2/2")
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
    render = {"name": f"{name} render", "parameterSpace": {"taskParameterDefinitions": [part]}, "script": _script(line)}
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
    """Return a line unchanged. Raises UsageError if the template would read '{{' in it as a variable."""
    if "{{" in line:
        raise UsageError("--print-jobs openjd", "OpenJD reads '{{' as a variable", "avoid '{{' in names and options")
    return line


def _plain(text: str) -> str:
    """Replace control characters, which a template refuses, by '_'."""
    return "".join(c if c.isprintable() else "_" for c in text)
