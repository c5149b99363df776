"""Training steps beside an eager fp32 loop of batch 1: pictures a second by batch, precision, layout, graph, compiler.

    python -m benchmarks.training.rates [--device cuda] [--generator unet-256] [--rounds 20] [--batches 1,16,64]
        [--precisions fp32,tf32,bf16] [--compile] [--size 256] [--threads N]
    python -m benchmarks.training.rates --losses [--rounds 10]

The loop that all is compared with is what a reader of the paper writes: fp32, NCHW, Adam a tensor at a time; on a GPU
it has the deterministic algorithms of ``train``, without TF32. The others are ``Pix2Pix`` as ``train`` runs it: batches
of 8 bits are uploaded, converted and learned from. In each round both take a step, and the median counts; only ratios
inside one run mean anything. On a GPU each batch and precision is measured with and without channels_last, and with and
without a CUDA graph; what cannot be is said in its line. ``--losses`` compares both after equal steps from the same
weights on the same pictures: what G minimised, 100·L1 + GAN, summed over all of them.
"""

from __future__ import annotations

import copy
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import harness
from vidtrans.core.errors import VidtransError
from vidtrans.core.machine import use_huge_pages
from vidtrans.data.loading import TrainingBatch
from vidtrans.inference.device import Device, resolve_device
from vidtrans.networks.convolutions import MatmulConv, MatmulConvTranspose
from vidtrans.networks.init import build_discriminator, build_generator, initialise
from vidtrans.training.batch_upload import upload, uploads
from vidtrans.training.methods.base import TrainingStep
from vidtrans.training.methods.network_trainer import WARM_UP, resolve_precisions
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.settings import TrainingSettings

CHANNELS = 1  # of the input, as with preset pix2pix
LR = 2e-4
WARM_UP_STEPS = WARM_UP + 2  # so that a graph is recorded before the first round
Step = Callable[[], object]


def plain(g: nn.Module, d: nn.Module) -> Callable[[Tensor, Tensor, int], tuple[float, float]]:
    """Return the loop that is compared with, with torch's own layers; a step returns the GAN's loss and the L1."""
    for module in itertools.chain(g.modules(), d.modules()):
        if isinstance(module, MatmulConv):
            module.__class__ = nn.Conv2d
        if isinstance(module, MatmulConvTranspose):
            module.__class__ = nn.ConvTranspose2d
    adam_g, adam_d = (torch.optim.Adam(n.parameters(), lr=LR, betas=(0.5, 0.999), foreach=False) for n in (g, d))
    bce = nn.BCEWithLogitsLoss()
    g.train(), d.train()

    def step(x: Tensor, y: Tensor, seed: int) -> tuple[float, float]:
        torch.manual_seed(seed)
        fake = g(x)
        on_fake, on_real = d(torch.cat([x, fake.detach()], 1)), d(torch.cat([x, y], 1))
        loss_d = 0.5 * (bce(on_fake, torch.zeros_like(on_fake)) + bce(on_real, torch.ones_like(on_real)))
        adam_d.zero_grad()
        loss_d.backward()
        adam_d.step()
        judged = d(torch.cat([x, fake], 1))
        gan, l1 = bce(judged, torch.ones_like(judged)), F.l1_loss(fake, y)
        adam_g.zero_grad()
        (gan + 100 * l1).backward()
        adam_g.step()
        return gan.item(), l1.item()

    return step


@dataclass(frozen=True)
class Configuration:
    """One way to train."""

    batch: int
    precision: str
    channels_last: bool = False
    cuda_graph: bool = False
    compile: bool = False

    def __str__(self) -> str:
        flags = {"channels_last": self.channels_last, "graph": self.cuda_graph, "compile": self.compile}
        return ", ".join([f"batch {self.batch}", self.precision, *(name for name, on in flags.items() if on)])


def configurations(device: Device, batches: list[int], precisions: list[str], compiled: bool) -> list[Configuration]:
    """Return all that this device offers."""
    graphs = (False, True) if device.kind == "cuda" else (False,)
    compilers = (False, True) if compiled else (False,)
    return [Configuration(*c) for c in itertools.product(batches, precisions, (False, True), graphs, compilers)]


def noise(batch: int, size: int) -> Iterator[TrainingBatch]:
    """Yield the same batch again and again: what is timed is the step and the upload, not the decoding of pictures."""
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

    def _copies(self) -> Iterator[nn.Module]:
        return (copy.deepcopy(network).to(self.device.torch) for network in (self.g, self.d))

    def warm_eager(self) -> Step:
        """Return a step of the loop that is compared with, in fp32, batch 1, after its first steps."""
        step, batch = plain(*self._copies()), upload(next(noise(1, self.size)), self.device)
        for seed in range(WARM_UP_STEPS):
            step(batch.inputs, batch.targets, seed)
        seeds = itertools.count(WARM_UP_STEPS)
        return lambda: step(batch.inputs, batch.targets, next(seeds))

    def model(self, configuration: Configuration) -> Pix2Pix:
        """Return what ``train`` trains."""
        settings = TrainingSettings.of(
            batch_size=configuration.batch,
            channels_last=configuration.channels_last,
            cuda_graph=configuration.cuda_graph,
            compile=configuration.compile,
        )
        precision = resolve_precisions(configuration.precision, self.device)[0]
        return Pix2Pix(copy.deepcopy(self.g), copy.deepcopy(self.d), settings, self.device, precision)

    @contextmanager
    def ours(self, configuration: Configuration) -> Iterator[tuple[Step, Pix2Pix]]:
        """Give a step of ``train``; afterwards the thread that uploads ends."""
        model, seeds = self.model(configuration), itertools.count()
        with closing(uploads(noise(configuration.batch, self.size), self.device)) as batches:

            def step() -> None:
                batch = next(batches)
                model.optimize(TrainingStep(batch.inputs, batch.targets, lr=LR, seed=next(seeds)))

            yield step, model

    def losses(self, steps: int) -> str:
        """Compare what G minimised in equal steps of both, on smooth colours and their brightness."""
        eager, model = plain(*self._copies()), self.model(Configuration(1, "auto"))
        generator, found = torch.Generator().manual_seed(0), np.zeros(2)
        for seed in range(steps):
            colours = torch.rand(1, 3, 8, 8, generator=generator) * 2 - 1
            y = F.interpolate(colours, size=(self.size, self.size), mode="bicubic").clamp(-1, 1).to(self.device.torch)
            x = y.mean(1, keepdim=True)
            gan, l1 = eager(x, y, seed)
            ours = model.optimize(TrainingStep(x, y, lr=LR, seed=seed))
            found += (gan + 100 * l1, float(ours["gan"] + 100 * ours["l1"]))
        return (
            f"loss over {steps} equal steps: plain {found[0]:.3f}, ours {found[1]:.3f} ({found[1] / found[0] - 1:+.2%})"
        )


def rates(networks: Networks, configuration: Configuration, reference: Step, rounds: int) -> tuple[float, float, str]:
    """Return pictures a second of ours and of the warm reference, in turns, and why steps are not replayed, or ''.

    Raises VidtransError where the device cannot train so.
    """

    def seconds_of(step: Step) -> float:
        began = time.perf_counter()
        step()
        if networks.device.torch.type == "cuda":
            torch.cuda.synchronize(networks.device.torch)
        return time.perf_counter() - began

    with networks.ours(configuration) as (step, model):
        for _ in range(WARM_UP_STEPS):
            step()
        taken = harness.in_turns({"eager": reference, "ours": step}, rounds, warm_up=0, measure=seconds_of)
    ours, eager = configuration.batch / statistics.median(taken["ours"]), 1 / statistics.median(taken["eager"])
    return ours, eager, model.captured.refusal if model.captured else ""


def main() -> None:
    parser = harness.parser(__doc__, rounds=20)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--generator", default="unet-256")
    parser.add_argument("--batches", type=harness.comma_list, help="[default: 1,4,16,64; on a CPU 1,4]")
    parser.add_argument("--precisions", type=harness.comma_list, help="[default: fp32,tf32,bf16; on a CPU fp32,bf16]")
    parser.add_argument("--compile", action="store_true", help="with torch.compile too")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--losses", action="store_true", help="compare the losses of equal steps instead")
    given = parser.parse_args()
    use_huge_pages()
    torch.set_num_threads(given.threads)
    device = resolve_device(given.device)
    on_gpu = device.kind == "cuda"
    networks = Networks(given.generator, device, given.size)
    if given.losses:
        print(networks.losses(given.rounds))
        return
    batches = [int(b) for b in given.batches or (("1", "4", "16", "64") if on_gpu else ("1", "4"))]
    precisions = given.precisions or (["fp32", "tf32", "bf16"] if on_gpu else ["fp32", "bf16"])
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
    harness.run(main)
