"""Run the job of each format by its queue, and compare the results with that of one process."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.farm.work import CHUNK, Row, Work, same
from benchmarks.harness import environment, vidtrans

PARTS = "4"
SLURM = """
ClusterName=one
SlurmctldHost={host}
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
AUTHOR = """
const tasks = [];
const author = {
  Task: (name, type) => ({ name, type, commands: [], after: [], addCommand(c) { this.commands.push(c); },
    addDependency(t) { this.after.push(t.name); } }),
  Command: (name, parameters) => ({ name, parameters }),
};
"""


def run_queues(work: Work) -> Iterator[Row]:
    """Yield a row for each queue."""
    place = work.fresh("queues")
    work.write_clip(place / "clip.mp4", work.num_frames)
    began = time.monotonic()
    render = ("stylize", "clip.mp4", "--model", work.model, *CHUNK)
    vidtrans(*render, "-o", "whole.mp4", "--cache-dir", "alone", folder=place)
    yield Row("one process", "", time.monotonic() - began)
    queues: dict[str, tuple[str, Callable[[Path], None]]] = {
        "commands": ("xargs", _run_commands),
        "openjd": ("openjd", _run_openjd),
        "slurm": ("slurmctld", _run_slurm),
        "flamenco": ("node", _run_flamenco),
    }
    for name, (program, run) in queues.items():
        if shutil.which(program, path=environment()["PATH"]) is None:
            yield Row(name, f"skipped: {program} is not installed")
            continue
        output = f"{name}.mp4"
        options = ("-o", output, "--cache-dir", f"of-{name}", "--jobs", PARTS, "--print-jobs", name)
        job = place / f"job.{'json' if name == 'openjd' else name}"
        job.write_text(vidtrans(*render, *options, folder=place).stdout)
        began = time.monotonic()
        run(job)
        left = [p.name for p in place.rglob("*") if ".partial" in p.name]
        yield Row(
            name, f"{same(place / output, place / 'whole.mp4')}, {len(left)} files left", time.monotonic() - began
        )


def _run(*command: object, **more: str) -> str:
    result = subprocess.run([*map(str, command)], env=environment(**more), capture_output=True, text=True, check=False)
    if result.returncode:
        print(result.stdout[-2000:], result.stderr[-2000:], file=sys.stderr)
    return result.stdout


def _run_commands(job: Path) -> None:
    _run("sh", "-c", f"xargs -P 2 -d '\\n' -I{{}} sh -c {{}} < {job}")


def _run_openjd(job: Path) -> None:
    _run("openjd", "check", job)
    _run("openjd", "run", job)


def _run_flamenco(job: Path) -> None:
    script = f"{AUTHOR}{job.read_text()}\ncompileJob({{addTask: (task) => tasks.push(task)}});"
    tasks = json.loads(_run("node", "-e", f"{script}\nconsole.log(JSON.stringify(tasks));"))
    done: set[str] = set()
    while waiting := [task for task in tasks if task["name"] not in done]:
        ready = [task for task in waiting if set(task["after"]) <= done]
        for command in ready[0]["commands"]:
            _run(command["parameters"]["exe"], *command["parameters"]["args"])
        done.add(ready[0]["name"])


def _run_slurm(job: Path) -> None:
    with _one_node(job.parent / "slurm") as conf:
        submitted = _run("bash", job, SLURM_CONF=conf).split()
        while _run("squeue", "--noheader", SLURM_CONF=conf).strip():
            time.sleep(1)
        print(f"slurm: jobs {', '.join(submitted)}", file=sys.stderr)


@contextmanager
def _one_node(folder: Path) -> Iterator[str]:
    """Start munge and a Slurm of one node; yield the path of its configuration."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    conf = folder / "slurm.conf"
    conf.write_text(SLURM.format(host=socket.gethostname(), folder=folder))
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    subprocess.run(["runuser", "-u", "munge", "--", "munged", "--force"], check=False)
    daemons = [
        subprocess.Popen([name, "-D", "-f", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in ("slurmctld", "slurmd")
    ]
    try:
        for _ in range(60):
            if "idle" in _run("sinfo", "--noheader", SLURM_CONF=str(conf)):
                break
            time.sleep(0.5)
        yield str(conf)
    finally:
        for daemon in daemons:
            daemon.terminate()
            daemon.wait()
        subprocess.run(["pkill", "munged"], check=False)
