"""Strips of 1,024×32 pixels, upright and lying, through every generator and engine: how far are they from fp32?

    python -m benchmarks.robustness.strips [--generators unet-256,translator] [--least 40]

Prints a row for each generator, engine and precision, with the PSNR in dB to eager fp32 of the worse orientation, and
what the engine computes in fp32 since this processor has it wrong. Exits 1 if anything is below --least.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch

from vidtrans.core.errors import UsageError
from vidtrans.doctor.subject import make_generator, psnr, signed
from vidtrans.inference import ENGINES
from vidtrans.inference.device import CPU
from vidtrans.inference.torch_engine import to_pictures
from vidtrans.networks import GENERATORS
from vidtrans.rendering.bench_clip import pictures

SHAPES = ((1024, 32), (32, 1024))  # height, width


def measure(generator: torch.nn.Module, engine: str, precision: str) -> tuple[float, list[str]]:
    made = ENGINES.load(engine)(generator, CPU, precision, 2)
    worst = 200.0
    for height, width in SHAPES:
        shown = np.stack(list(pictures(width, height, 2)))
        grown = [-shown.shape[side] % generator.multiple for side in (1, 2)]
        x = np.pad(shown, ((0, 0), (0, grown[0]), (0, grown[1]), (0, 0)), mode="symmetric")
        with torch.inference_mode():
            wanted = to_pictures(generator(signed(x)), deep=True)
        worst = min(worst, psnr(made(x, deep=True), wanted))
    return worst, made.exact


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generators", default=",".join(GENERATORS))
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--least", type=float, default=40.0)
    chosen = parser.parse_args()
    print(
        f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, "
        f"AMX {torch.cpu._is_amx_tile_supported()}, bf16 {torch.cpu._is_avx512_bf16_supported()}\n"
    )
    print("| generator | engine | precision | dB to fp32 | in fp32 instead |\n|---|---|---|---|---|")
    low = 0
    for name in chosen.generators.split(","):
        generator = make_generator(name, {})
        for engine in chosen.engines.split(","):
            for precision in ("fp32", "bf16"):
                try:
                    found, exact = measure(generator, engine, precision)
                except UsageError as error:
                    print(f"| {name} | {engine} | {precision} | not here: {error.why} | |", flush=True)
                    continue
                low += found < chosen.least
                print(f"| {name} | {engine} | {precision} | {found:.1f} | {len(exact) or ''} |", flush=True)
    sys.exit(1 if low else 0)


if __name__ == "__main__":
    main()
