"""A ``cupy`` for programs that need few parts of it: arrays are numpy's, and raw CUDA kernels are compiled for the CPU.

A kernel's text is compiled by g++ as it is, with a loop over the grid around it. The results are those of a GPU, apart
from the order of sums and from random numbers.
"""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.harness import Missing

# The grid is a loop; OpenMP shares its rows.
PROLOGUE = """
struct Index { int x, y, z; };
static thread_local Index blockIdx, threadIdx, blockDim;
#define __global__ static
"""
SEED = 0


class Array(np.ndarray):
    """A numpy array that can be copied from a GPU which is not there."""

    def get(self) -> np.ndarray:
        """Return the array as numpy's."""
        return np.asarray(self)


class RawKernel:
    """A CUDA kernel of pointers and ints, compiled for the CPU at its first call."""

    def __init__(self, source: str, name: str) -> None:
        self._source, self._name, self._call = source.replace('extern "C"', ""), name, None

    def __call__(self, grid: Sequence[int], block: Sequence[int], arguments: Sequence[Any]) -> None:
        """Run the kernel for every thread of the grid."""
        if self._call is None:
            self._call = self._compile(["int" if not isinstance(a, np.ndarray) else "void*" for a in arguments])
        shape = [*grid, *[1] * (3 - len(grid)), *block, *[1] * (3 - len(block))]
        passed = [
            a.ctypes.data_as(ctypes.c_void_p) if isinstance(a, np.ndarray) else ctypes.c_int(a) for a in arguments
        ]
        for array in arguments:
            if isinstance(array, np.ndarray) and not array.flags.c_contiguous:
                raise ValueError("kernels take contiguous arrays")
        self._call(*map(ctypes.c_int, shape), *passed)

    def _compile(self, kinds: Sequence[str]) -> Callable[..., None]:
        head = self._source[self._source.index("(") + 1 : self._source.index(")")]
        types = [part.rsplit(" ", 1)[0].strip() for part in head.split(",")]
        names = [f"a{n}" for n in range(len(types))]
        given = ", ".join(f"{kind} {name}" for kind, name in zip(kinds, names, strict=True))
        cast = ", ".join(f"({kind}){name}" for kind, name in zip(types, names, strict=True))
        text = f"""{PROLOGUE}{self._source}
extern "C" void launch(int gx, int gy, int gz, int bx, int by, int bz, {given}) {{
#pragma omp parallel for collapse(2)
  for (int z = 0; z < gz; z++) for (int x = 0; x < gx; x++) for (int y = 0; y < gy; y++)
    for (int i = 0; i < bx; i++) for (int j = 0; j < by; j++) for (int k = 0; k < bz; k++) {{
      blockDim = {{bx, by, bz}}; blockIdx = {{x, y, z}}; threadIdx = {{i, j, k}};
      {self._name}({cast});
    }}
}}
"""
        folder = Path(tempfile.gettempdir()) / "cuda-on-cpu"
        folder.mkdir(exist_ok=True)
        library = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.so"
        if not library.exists():
            source = library.with_suffix(".cpp")
            source.write_text(text)
            flags = ["-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC"]
            try:
                subprocess.run(["g++", *flags, str(source), "-o", str(library)], check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                raise Missing(f"g++ cannot compile a kernel: {error}") from None
        return ctypes.CDLL(str(library)).launch


def install() -> None:
    """Make ``import cupy`` find this module's stand-in, unless cupy is there."""
    cupy = ModuleType("cupy")

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object, **options: object) -> Any:
            return np.asarray(function(*arguments, **options)).view(Array)

        return call

    for name in ("array", "zeros", "zeros_like", "pad", "clip", "concatenate", "stack", "arange", "repeat", "tile"):
        setattr(cupy, name, wrapped(getattr(np, name)))
    random = np.random.default_rng(SEED)
    found: Any = cupy
    found.random = SimpleNamespace(
        randint=lambda low, high, size, dtype: random.integers(low, high, size, dtype=dtype).view(Array),
        permutation=random.permutation,
    )
    found.cuda = SimpleNamespace(Device=lambda number: nullcontext())
    found.ndarray, found.RawKernel, found.float32, found.int32 = Array, RawKernel, np.float32, np.int32
    sys.modules.setdefault("cupy", cupy)
