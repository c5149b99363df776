"""Pictures a second in training, by batch, precision, layout, graph and compiler, over an eager fp32 loop of batch 1.

    python -m benchmarks.training.rates [--device cuda] [--generator unet-256] [--rounds 20] [--batches 1,16,64]
        [--precisions fp32,tf32,bf16] [--compile] [--size 256] [--threads N]

The loop that all is compared with is that of ``benchmarks.training.step``, as a reader of the paper writes it; on a GPU
it has the deterministic algorithms of ``train``, without TF32. The others are ``Pix2Pix`` as ``train`` runs it: batches
of 8 bits are uploaded, converted and learned from. In each round both take a step, and the median counts; only ratios
inside one run mean anything. On a GPU each batch and precision is measured with and without channels_last, and with and
without a CUDA graph; what cannot be is said in its line.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.training.step import plain
from vidtrans.core.errors import VidtransError
from vidtrans.data.loading import TrainingBatch
from vidtrans.inference.device import Device, resolve_device
from vidtrans.networks.init import build_discriminator, build_generator, initialise
from vidtrans.training.device.batch_upload import upload, uploads
from vidtrans.training.device.captured_step import WARM_UP
from vidtrans.training.methods.network_trainer import resolve_precisions
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.set_up import use_huge_pages
from vidtrans.training.settings import TrainingSettings

CHANNELS = 1  # of the input, as with preset pix2pix
WARM_UP_STEPS = WARM_UP + 2  # so that a graph is recorded before the first round
Step = Callable[[], object]


@dataclass(frozen=True)
class Configuration:
    """One way to train."""

    batch: int
    precision: str
    channels_last: bool
    cuda_graph: bool
    compile: bool

    def __str__(self) -> str:
        parts = [f"batch {self.batch}", self.precision, *self._flags()]
        return ", ".join(parts)

    def _flags(self) -> list[str]:
        flags = {"channels_last": self.channels_last, "graph": self.cuda_graph, "compile": self.compile}
        return [name for name, on in flags.items() if on]


def configurations(device: Device, batches: list[int], precisions: list[str], compiled: bool) -> list[Configuration]:
    """All that this device offers."""
    graphs = (False, True) if device.kind == "cuda" else (False,)
    compilers = (False, True) if compiled else (False,)
    return [Configuration(*c) for c in itertools.product(batches, precisions, (False, True), graphs, compilers)]


def noise(batch: int, size: int) -> Iterator[TrainingBatch]:
    """The same batch again and again: what is timed is the step and the upload, not the decoding of pictures."""
    rng = np.random.default_rng(0)
    inputs, targets = (rng.integers(0, 256, (batch, c, size, size), dtype=np.uint8) for c in (CHANNELS, 3))
    while True:
        yield TrainingBatch(inputs, targets)


class Networks:
    """The weights that all begin with."""

    def __init__(self, generator: str, device: Device, size: int) -> None:
        self.device, self.size = device, size
        self.g, self.d = build_generator(generator, {}, CHANNELS), build_discriminator("patchgan", {}, CHANNELS + 3)
        initialise(self.g, 0)
        initialise(self.d, 1)

    def eager(self) -> Step:
        """The loop that is compared with, in fp32, batch 1."""
        g, d = (copy.deepcopy(network).to(self.device.torch) for network in (self.g, self.d))
        step, batch = plain(g, d), upload(next(noise(1, self.size)), self.device)
        seeds = itertools.count()
        return lambda: step(batch.inputs, batch.targets, next(seeds))

    def warm_eager(self) -> Step:
        """The same, after its first steps."""
        step = self.eager()
        for _ in range(WARM_UP_STEPS):
            step()
        return step

    @contextmanager
    def ours(self, configuration: Configuration) -> Iterator[tuple[Step, Pix2Pix]]:
        """What ``train`` does; afterwards the thread that uploads ends."""
        settings = TrainingSettings.of(
            batch_size=configuration.batch,
            channels_last=configuration.channels_last,
            cuda_graph=configuration.cuda_graph,
            compile=configuration.compile,
        )
        precision = resolve_precisions(configuration.precision, self.device)[0]
        model = Pix2Pix(copy.deepcopy(self.g), copy.deepcopy(self.d), settings, self.device, precision)
        seeds = itertools.count()

        with closing(uploads(noise(configuration.batch, self.size), self.device)) as batches:

            def step() -> None:
                batch = next(batches)
                model.step(batch.inputs, batch.targets, lr=2e-4, seed=next(seeds))

            yield step, model


def seconds_of(device: Device, step: Step) -> float:
    """Of one step, until the device has finished it."""
    began = time.perf_counter()
    step()
    if device.torch.type == "cuda":
        torch.cuda.synchronize(device.torch)
    return time.perf_counter() - began


def rates(networks: Networks, configuration: Configuration, reference: Step, rounds: int) -> tuple[float, float, str]:
    """Pictures a second of ours and of the warm reference, in turns, medians; and why steps are not replayed, or ''.

    Raises VidtransError where the device cannot train so.
    """
    times: tuple[list[float], list[float]] = ([], [])
    with networks.ours(configuration) as (step, model):
        for _ in range(WARM_UP_STEPS):
            step()
        for _ in range(rounds):
            for taken, one in zip(times, (reference, step), strict=True):
                taken.append(seconds_of(networks.device, one))
    ours, eager = configuration.batch / statistics.median(times[1]), 1 / statistics.median(times[0])
    return ours, eager, model.captured.refusal if model.captured else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--generator", default="unet-256")
    parser.add_argument("--rounds", type=int, default=20, help="steps of each that are timed")
    parser.add_argument("--batches", default="", help="[default: 1,4,16,64; on a CPU 1,4]")
    parser.add_argument("--precisions", default="", help="[default: fp32,tf32,bf16; on a CPU fp32,bf16]")
    parser.add_argument("--compile", action="store_true", help="with torch.compile too")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    use_huge_pages()
    torch.set_num_threads(given.threads)
    device = resolve_device(given.device)
    on_gpu = device.kind == "cuda"
    batches = [int(b) for b in (given.batches or ("1,4,16,64" if on_gpu else "1,4")).split(",")]
    precisions = (given.precisions or ("fp32,tf32,bf16" if on_gpu else "fp32,bf16")).split(",")
    networks = Networks(given.generator, device, given.size)
    reference = networks.warm_eager()
    print(f"{given.generator} at {given.size}, {device.name}: ratios to eager fp32 batch 1, medians of {given.rounds}")
    for configuration in configurations(device, batches, precisions, given.compile):
        try:
            ours, eager, refusal = rates(networks, configuration, reference, given.rounds)
        except VidtransError as error:
            print(f"{configuration!s:44} {error}")
            continue
        refusal = refusal and f"  not replayed: {refusal}"
        print(f"{configuration!s:44} {ours:8.1f} pictures/s  {ours / eager:6.2f} ×{refusal}", flush=True)


if __name__ == "__main__":
    main()
