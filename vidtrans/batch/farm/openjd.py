"""The farm-job format "openjd": an Open Job Description template (2023-09) with task chunking, for Deadline Cloud.

One step renders the parts of a clip, as many per task as the queue chooses, and a dependent step joins them.
"""

from __future__ import annotations

import json

from vidtrans.batch.farm import ClipTasks, FarmJob
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table

# Description of the job in the template
DESCRIPTION = "Its commands run in bash, on Windows too: Git for Windows has it."
MAX_CLIPS = 50  # Maximum number of clips in a template, which may have 100 steps: two for each clip
MAX_NAME_CHARS = 60  # Maximum length of a step's name, in characters; the format allows 64
TARGET_TASK_S = 300  # Target duration of a task, in seconds; shorter tasks would mostly load the model


def write_openjd(job: FarmJob) -> str:
    """Return the job as a template in JSON. Raises UsageError if the format cannot express the job."""
    if len(job.clips) > MAX_CLIPS:
        why = f"a template holds at most {MAX_CLIPS} clips (got {len(job.clips)})"
        raise UsageError("--print-jobs openjd", why, "print several templates: --shard 1/2, --shard 2/2")
    template = {
        "specificationVersion": "jobtemplate-2023-09",
        "extensions": ["TASK_CHUNKING"],
        "name": _replace_controls(_check_literal(job.name))[:128],
        "description": DESCRIPTION,
        "steps": [step for number, clip in enumerate(job.clips, 1) for step in _steps(job, clip, number)],
    }
    return json.dumps(template, indent=2)


def _steps(job: FarmJob, clip: ClipTasks, number: int) -> list[Table]:
    """Return the steps of a clip in the template: one that renders its parts, and one that joins them.

    ``number``: the clip's number, which makes the steps' names unique.
    """
    name = f"{number} {_replace_controls(clip.output)}"[: MAX_NAME_CHARS - 7]
    if not clip.is_divided:
        return [{"name": name, "script": _script(_check_literal(job.shell_line(clip.whole_command)))}]
    chunks = {"defaultTaskCount": 1, "targetRuntimeSeconds": TARGET_TASK_S, "rangeConstraint": "CONTIGUOUS"}
    part = {"name": "Part", "type": "CHUNK[INT]", "range": f"1-{clip.parts}", "chunks": chunks}
    line = _check_literal(job.shell_line(clip.command)) + f' --chunk "{{{{Task.Param.Part}}}}/{clip.parts}"'
    render = {"name": f"{name} render", "parameterSpace": {"taskParameterDefinitions": [part]}, "script": _script(line)}
    join = {
        "name": f"{name} join",
        "dependencies": [{"dependsOn": render["name"]}],
        "script": _script(_check_literal(job.shell_line(clip.join_command))),
    }
    return [render, join]


def _script(line: str) -> Table:
    """Return a step's script that runs a shell line in bash."""
    run = {"command": "bash", "args": ["{{Task.File.Run}}"]}
    return {"actions": {"onRun": run}, "embeddedFiles": [{"name": "Run", "type": "TEXT", "data": f"{line}\n"}]}


def _check_literal(line: str) -> str:
    """Return a line unchanged. Raises UsageError if the template would read '{{' in it as a variable."""
    if "{{" in line:
        raise UsageError("--print-jobs openjd", "OpenJD reads '{{' as a variable", "avoid '{{' in names and options")
    return line


def _replace_controls(text: str) -> str:
    """Replace control characters, which a template refuses, by '_'."""
    return "".join(c if c.isprintable() else "_" for c in text)
