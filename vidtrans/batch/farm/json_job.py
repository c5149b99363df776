"""The farm-job format "json": a job as JSON, for programs that convert it for their own queue."""

from __future__ import annotations

import json

from vidtrans.batch.farm import FarmJob


def write_json_job(job: FarmJob) -> str:
    """Return the job as JSON text. ``part`` and ``join`` are lists of arguments, null for a clip of one part."""
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
