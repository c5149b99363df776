"""A list of commands, one a line, in any order, for queues that know no dependencies: ``xargs``, OpenCue's ``cuecmd``.

The part that ends last joins all of a clip.
"""

from __future__ import annotations

from vidtrans.batch.farm.job import FarmJob


def write_commands(job: FarmJob) -> str:
    """Return the lines, each of which a POSIX shell runs."""
    lines: list[str] = []
    for clip in job.clips:
        if clip.is_divided:
            commands = [clip.part_command(str(part), join=True) for part in range(1, clip.parts + 1)]
        else:
            commands = [clip.whole_command]
        lines += map(job.shell_line, commands)
    return "\n".join(lines)
