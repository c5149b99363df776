"""The farm-job format "flamenco": a job type for Flamenco 3, as a script for the manager's ``scripts`` folder.

The manager compiles the script to tasks. The script contains its clips and commands: submit it once, without settings.
"""

from __future__ import annotations

import json

from vidtrans.batch.farm import ClipTasks, FarmJob
from vidtrans.core.settings import Table

# Template of the JavaScript file; %(label)s and %(clips)s are JSON values
SCRIPT = """\
// Save it as scripts/NAME.js beside the Flamenco Manager, and submit a job of this type.
// The workers run its commands with bash, on Windows too: Git for Windows has it.
const JOB_TYPE = {
  label: %(label)s,
  description: "Clips that vidtrans renders in parts and joins",
  settings: [],
};

const CLIPS = %(clips)s;

function compileJob(job) {
  for (const clip of CLIPS) {
    const parts = clip.parts.map((line, at) => addTask(job, `${clip.name} ${at + 1}/${clip.parts.length}`, line, []));
    if (clip.join !== null) {
      addTask(job, `${clip.name} join`, clip.join, parts);
    }
  }
}

function addTask(job, name, line, after) {
  const task = author.Task(name, "misc");
  task.addCommand(author.Command("exec", { exe: "bash", args: ["-c", line] }));
  for (const other of after) {
    task.addDependency(other);
  }
  job.addTask(task);
  return task;
}"""


def write_flamenco(job: FarmJob) -> str:
    """Return the job as the text of a JavaScript file."""
    clips = json.dumps([_clip(job, clip) for clip in job.clips], indent=2)
    return SCRIPT % {"label": json.dumps(job.name), "clips": clips}


def _clip(job: FarmJob, clip: ClipTasks) -> Table:
    """Return a clip's name, shell lines of its parts, and shell line of the join (None for an undivided clip)."""
    if not clip.is_divided:
        return {"name": clip.output, "parts": [job.shell_line(clip.whole_command)], "join": None}
    commands = [clip.part_command(str(part)) for part in range(1, clip.parts + 1)]
    return {
        "name": clip.output,
        "parts": list(map(job.shell_line, commands)),
        "join": job.shell_line(clip.join_command),
    }
