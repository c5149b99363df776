"""The farm-job format "slurm": a script that submits, for each clip, an array of parts and a job that joins them."""

from __future__ import annotations

import shlex

from vidtrans.batch.farm import ClipTasks, FarmJob

# Maximum number of tasks in a job array (Slurm's default MaxArraySize). With more parts, a task renders several.
MAX_ARRAY_TASKS = 1000

# First lines of the printed script
HEAD = """\
#!/bin/bash
# Run it where sbatch is. Options for sbatch may follow: bash THIS --partition=render --mem=8G
set -euo pipefail
"""


def write_slurm(job: FarmJob) -> str:
    """Return the job as a bash script that submits Slurm jobs, and prints their IDs."""
    return "\n".join([HEAD, *(_submit(job, clip, number) for number, clip in enumerate(job.clips, 1))]).rstrip()


def _submit(job: FarmJob, clip: ClipTasks, number: int) -> str:
    """Return the shell lines that submit the job array of a clip's parts, and the dependent job that joins them.

    ``number``: the clip's number, which makes the jobs' names unique.
    """
    name, title = f"{job.name}-{number}", f"# {' '.join(clip.source.split())}"
    if not clip.is_divided:
        return f"{title}\n{_sbatch(job, name, job.shell_line(clip.whole_command))}\n"
    parts_per_task = -(-clip.parts // MAX_ARRAY_TASKS)
    part = f'{_part_range_lines(clip.parts, parts_per_task)}{job.shell_line(clip.command)} --chunk "$part/{clip.parts}"'
    parts = _sbatch(job, name, part, f"--array=1-{-(-clip.parts // parts_per_task)}")
    after = "--dependency=afterok:$parts --kill-on-invalid-dep=yes"
    join = _sbatch(job, f"{name}-join", job.shell_line(clip.join_command), after)
    return (
        f'{title}\nparts=$({parts}\n)\nparts=${{parts%%;*}} # without the name of the cluster\necho "$parts"\n{join}\n'
    )


def _part_range_lines(count: int, parts_per_task: int) -> str:
    """Return shell lines that set the variable ``part`` to the parts of an array task: a number, or a range "3-5".

    ``count``: the total number of parts.
    """
    if parts_per_task == 1:
        return "part=$SLURM_ARRAY_TASK_ID\n"
    last = f"SLURM_ARRAY_TASK_ID * {parts_per_task}"
    return f"part=$(({last} - {parts_per_task - 1}))-$(({last} < {count} ? {last} : {count}))\n"


def _sbatch(job: FarmJob, name: str, line: str, options: str = "") -> str:
    """Return the command that submits a shell line, quoted as a here-document without expansion.

    ``name``: the name of the Slurm job. ``options``: additional options of sbatch.
    """
    flags = f"--parsable --job-name={shlex.quote(name)} --chdir={shlex.quote(str(job.folder))} {options}".rstrip()
    return f"sbatch \"$@\" {flags} <<'VIDTRANS'\n#!/bin/bash\n{line}\nVIDTRANS"
