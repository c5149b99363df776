"""CPU seconds of a training step of CUT beside CycleGAN's, in turns in one process, on the same scene."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator

from benchmarks.unpaired.contenders import Bench
from benchmarks.unpaired.scenes import Scene, plan
from benchmarks.unpaired.tables import verdict

SCENE, ROUNDS = "edges-bedroom", 5
QUICK, SLOW = "cut", "cyclegan"
GOAL = 1.6


def compare_speed(bench: Bench, options: argparse.Namespace) -> Iterator[str]:
    """Yield what a step of each costs, and the ratio: medians of rounds, for machines' speed drifts. Raises Missing."""
    scene = plan(options.data, bench.lab.store)[SCENE]()
    recipes = "-".join(bench.ours(name, scene).recipe for name in (QUICK, SLOW))
    table = bench.lab.store.table(
        "speed", f"{scene.digest}-{recipes}-{options.threads}", lambda: _measure(bench, scene)
    )
    for name, times in table.items():
        yield f"{name:10} {statistics.median(times):.3f} CPU seconds a step ({min(times):.3f} to {max(times):.3f})"
    ratio = statistics.median(slow / quick for quick, slow in zip(table[QUICK], table[SLOW], strict=True))
    yield verdict(f"{SLOW}'s step over {QUICK}'s, ≥ {GOAL}", ratio, ratio >= GOAL)


def _measure(bench: Bench, scene: Scene) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {QUICK: [], SLOW: []}
    for _ in range(ROUNDS):
        for name, found in times.items():
            found.append(bench.lab.time_step(scene, bench.ours(name, scene)))
    return times
