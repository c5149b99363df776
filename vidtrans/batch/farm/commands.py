"""The farm-job format "commands": shell commands, one per line, for queues without dependencies between tasks.

Such queues are ``xargs`` and OpenCue's ``cuecmd``. The commands may run in any order; the part that ends last joins the
clip.
"""

from __future__ import annotations

from vidtrans.batch.farm import FarmJob


def write_commands(job: FarmJob) -> str:
    """Return the job as lines for a POSIX shell."""
    lines: list[str] = []
    for clip in job.clips:
        if clip.is_divided:
            commands = [clip.part_command(str(part), join=True) for part in range(1, clip.parts + 1)]
        else:
            commands = [clip.whole_command]
        lines += map(job.shell_line, commands)
    return "\n".join(lines)
