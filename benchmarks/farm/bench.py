"""Is a clip the same to the byte from every queue and from a cluster, whatever is killed, and what does a cluster cost?

    python -m benchmarks.farm.bench CLIP [--cache DIR] [--parts queues,local,ray,…] [--frames 240] [--clips 40]

queues: each job of ``--print-jobs`` is run on this machine: the list of commands by ``xargs -P 2``; the OpenJD template
by ``openjd run``; the Slurm script by a Slurm of one node that is set up for it (Debian's slurm-wlm and munge); the
Flamenco job type by node, with a stand-in for Flamenco's ``author``, and its tasks in the order of their dependencies.
local: 40 clips, 3 of them broken, by worker processes; the command is killed half-way and run again: results are
compared with a run in one process.
ray: the same on two nodes of Ray, which stand in for two machines; a worker is killed, then a node, then the command.
cost: seconds of clips in one process, in two, and on one and two workers of a cluster that runs already, all of them
single-threaded.

What is not installed is skipped, and said. All of it takes half an hour on two cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import harness
from benchmarks.farm.cluster import kill_batch, kill_cluster, measure_cost
from benchmarks.farm.queues import run_queues
from benchmarks.farm.work import Row, Work
from benchmarks.tables import head, row

PARTS: dict[str, Callable[[Work], Iterator[Row]]] = {
    "queues": run_queues,
    "local": kill_batch,
    "ray": kill_cluster,
    "cost": measure_cost,
}


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--cache", type=Path, help="a folder for all that is made; by default one that is removed")
    parser.add_argument("--parts", type=harness.comma_list, default=list(PARTS))
    parser.add_argument("--frames", type=int, default=240, help="of the clip of the queues, and of those of the cost")
    parser.add_argument("--clips", type=int, default=40, help="of the batches that are killed")
    parser.add_argument("--model", default="flower")
    options = parser.parse_args()
    with harness.work_folder(options.cache) as folder:
        clip = harness.need(options.clip).resolve()
        work = Work(clip, folder, options.frames, options.clips, options.model)

        def show(part: str) -> None:
            print(f"\n## {part}\n")
            head("", "result", "seconds")
            for found in PARTS[part](work):
                row(found.what, found.result, "" if found.seconds is None else f"{found.seconds:.0f}")

        harness.each(options.parts, show)


if __name__ == "__main__":
    harness.run(main)
