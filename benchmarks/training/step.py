"""A training step of pix2pix beside an eager fp32 loop: U-Net 256 and the 70×70 D, batch 1, 256 px, on a CPU.

    python -m benchmarks.training.step [--rounds 10] [--threads N] [--precision auto] [--channels-last]

The plain loop is what a reader of the paper writes: fp32, NCHW, Adam a tensor at a time. Ours is ``Pix2Pix`` with its
defaults. Both begin with the same weights and see the same pictures, in turns within one run; only ratios mean
anything, and the least time of the rounds is what the machine can do; CPU seconds are printed beside, for a machine
that is shared. Then both are compared after equal steps: what G minimised, 100·L1 + GAN, summed over all of them.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as the command line does

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.inference.device import resolve_device
from vidtrans.networks.init import build_discriminator, build_generator, initialise
from vidtrans.networks.matmul_convolution import MatmulConv, MatmulConvTranspose
from vidtrans.training.methods.network_trainer import resolve_precisions
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.set_up import use_huge_pages
from vidtrans.training.settings import TrainingSettings

LR = 2e-4
Step = Callable[[Tensor, Tensor, int], tuple[float, float, float]]


def plain(g: nn.Module, d: nn.Module) -> Step:
    """The loop that is compared against, with torch's own layers."""
    for network in (g, d):
        for module in network.modules():
            if isinstance(module, MatmulConv):
                module.__class__ = nn.Conv2d
            if isinstance(module, MatmulConvTranspose):
                module.__class__ = nn.ConvTranspose2d
    adam_g, adam_d = (torch.optim.Adam(n.parameters(), lr=LR, betas=(0.5, 0.999), foreach=False) for n in (g, d))
    bce = nn.BCEWithLogitsLoss()
    g.train(), d.train()

    def step(x: Tensor, y: Tensor, seed: int) -> tuple[float, float, float]:
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
        return gan.item(), l1.item(), loss_d.item()

    return step


def ours(g: nn.Module, d: nn.Module, precision: str, channels_last: bool) -> Step:
    """What ``train`` does."""
    device = resolve_device("cpu")
    settings = TrainingSettings.of(channels_last=channels_last)
    model = Pix2Pix(g, d, settings, device, resolve_precisions(precision, device)[0])

    def step(x: Tensor, y: Tensor, seed: int) -> tuple[float, float, float]:
        losses = model.step(x, y, lr=LR, seed=seed)
        return losses["gan"], losses["l1"], losses["discriminator"]

    return step


def pictures(count: int) -> list[tuple[Tensor, Tensor]]:
    """Smooth colours, and their brightness as the input: something that can be learned."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(count):
        y = F.interpolate(torch.rand(1, 3, 8, 8, generator=generator) * 2 - 1, size=(256, 256), mode="bicubic")
        made.append((y.mean(1, keepdim=True), y.clamp(-1, 1)))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="steps of each that are timed, in turns")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--channels-last", action="store_true")
    arguments = parser.parse_args()
    use_huge_pages()  # of both: they share a process
    torch.set_num_threads(arguments.threads)
    g, d = build_generator("unet-256", {}, 1), build_discriminator("patchgan", {}, 4)
    initialise(g, 0)
    initialise(d, 1)
    loops = {
        "plain": plain(copy.deepcopy(g), copy.deepcopy(d)),
        "ours": ours(g, d, arguments.precision, arguments.channels_last),
    }
    minimised = dict.fromkeys(loops, 0.0)
    wall: dict[str, list[float]] = {name: [] for name in loops}
    cpu: dict[str, list[float]] = {name: [] for name in loops}
    for at, (x, y) in enumerate(pictures(1 + arguments.rounds)):
        for name, step in loops.items():
            began, worked = time.perf_counter(), time.process_time()
            gan, l1 = step(x, y, at)[:2]
            minimised[name] += gan + 100 * l1
            if at:  # the first step allocates
                wall[name].append(time.perf_counter() - began)
                cpu[name].append(time.process_time() - worked)
    for what, seconds in (("wall", wall), ("CPU", cpu)):
        for name, times in seconds.items():
            print(f"{name:6} {min(times):.3f} s {what} a step at best, {statistics.median(times):.3f} median")
        middle = statistics.median(seconds["plain"]) / statistics.median(seconds["ours"])
        print(f"ratio  {min(seconds['plain']) / min(seconds['ours']):.2f} at best, {middle:.2f} median")
    a, b = minimised["plain"], minimised["ours"]
    print(f"loss   over {1 + arguments.rounds} equal steps: plain {a:.3f}, ours {b:.3f} ({100 * (b / a - 1):+.2f} %)")


if __name__ == "__main__":
    main()
