"""A job as JSON, for a program that writes it for a queue of its own."""

from __future__ import annotations

import json

from vidtrans.batch.farm.job import FarmJob

PART = "{part}"  # stands for the number of a part, or the first and the last of several, as in 3-5


def write_json_job(job: FarmJob) -> str:
    """Return the object. ``part`` and ``join`` are commands as lists of arguments, null for a clip of one part."""
    clips = [
        {
            "source": clip.source,
            "output": clip.output,
            "parts": clip.parts,
            "command": clip.whole_command,
            "part": clip.part_command(PART) if clip.is_divided else None,
            "join": clip.join_command if clip.is_divided else None,
        }
        for clip in job.clips
    ]
    table = {"name": job.name, "folder": str(job.folder), "environment": dict(job.environment), "clips": clips}
    return json.dumps(table, indent=2)
