"""Is a clip the same to the byte from every queue and from a cluster, whatever is killed, and what does a cluster cost?

    python -m benchmarks.farm.bench CLIP [--cache DIR] [--parts queues,ray,…] [--frames 240] [--clips 40]

queues: each job of ``--print-jobs`` is run on this machine: the list of commands by ``xargs -P 2``; the OpenJD template
by ``openjd run``; the Slurm script by a Slurm of one node that is set up for it (Debian's slurm-wlm and munge); the
Flamenco job type by node, with a stand-in for Flamenco's ``author``, and its tasks in the order of their dependencies.
ray: two nodes of Ray on this machine stand in for two machines. 40 clips, 3 of them broken; a worker is killed, then a
node, then the command itself, which is run again: results are compared with a run in one process.
apart: the same with ``--no-shared-disk`` and nodes from which the command's folder is hidden (takes root).
nfs: two mounts of Debian's NFS server on this machine stand in for two hosts, which render parts into one cache and
join them: one too early and again, then both at once (takes root, nfs-kernel-server and a kernel with both).
cost: seconds of clips in one process, in two, and on one and two workers of a cluster that runs already, all of them
single-threaded.
driver: ten thousand clips that take no time, on a cluster of this machine: seconds and memory of the command.
curve: chunks of the clip, at its own size, a night of which is simulated for up to 512 workers.

What is not installed is skipped, and said. All of it takes half an hour on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.farm.cluster import kill_everything, kill_everything_apart, measure_cost
from benchmarks.farm.network import render_over_nfs
from benchmarks.farm.queues import run_queues
from benchmarks.farm.scaling import draw_curve, measure_driver
from benchmarks.farm.work import Row, Work

PARTS: dict[str, Callable[[Work], Iterator[Row]]] = {
    "queues": run_queues,
    "ray": kill_everything,
    "apart": kill_everything_apart,
    "nfs": render_over_nfs,
    "cost": measure_cost,
    "driver": measure_driver,
    "curve": draw_curve,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument(
        "--cache", type=Path, default=None, help="a folder for all that is made; by default one that is removed"
    )
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument(
        "--frames", type=int, default=240, help="of the clip of the queues, and of those whose cost is measured"
    )
    parser.add_argument("--clips", type=int, default=40, help="of the cluster, while it is killed")
    parser.add_argument("--model", default="oil")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.cache or Path(temporary)).resolve()
        work = Work(options.clip.resolve(), folder, options.frames, options.clips, options.model)
        for part in options.parts.split(","):
            print(f"\n## {part}\n\n| | result | seconds |\n|---|---|---|", flush=True)
            for row in PARTS[part](work):
                print(
                    f"| {row.what} | {row.result} | {'' if row.seconds is None else f'{row.seconds:.0f}'} |", flush=True
                )


if __name__ == "__main__":
    main()
