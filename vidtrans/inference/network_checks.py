"""Compare a network with fp32 once per input shape, and compute its wrong operators in fp32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from vidtrans.inference.device import Device
from vidtrans.inference.product_checks import computed_in_fp32, find_wrong
from vidtrans.inference.user_cache import remembered


class ComparedEngine(Protocol):
    """The interface of an engine whose network is compared."""

    name: ClassVar[str]
    device: Device
    precision: Any
    identity: dict[str, str]

    def compute(self, x: Tensor) -> Tensor:
        """Run the network, without corrections, on (N, C, H, W) float32."""

    def if_it_fits(self, run: Callable[[], Any]) -> Any:  # noqa: ANN401  (what ``run`` returns)
        """Return what ``run`` returns; None where memory runs out."""


class NetworkChecks:
    """The comparison of a network's operators with fp32. ``wrong``: by input shape, the operators to compute in fp32.

    The object holds no reference to an engine, which would keep the engine's memory alive.
    """

    compares_batches: ClassVar[bool] = False  # comparing one picture is faster

    def __init__(self, network: nn.Module, generator: Any) -> None:  # noqa: ANN401  (the network's origin)
        self._architecture = [repr(network), [list(p.shape) for p in network.parameters()]]
        self.wrong: dict[torch.Size, list[str]] = {}

    def run(self, engine: ComparedEngine, x: Tensor) -> Tensor:
        """Run the network, computing the operators that are wrong at the shape of ``x`` in fp32."""
        if x.shape not in self.wrong and (made := self._find(engine, x)) is not None:
            return made
        wrong = self.wrong[x.shape]
        return self._run_right(engine, x, wrong) if wrong else engine.compute(x)

    def wrong_at(self, engine: ComparedEngine, shape: torch.Size) -> list[str]:
        """Return the operators that are wrong at a shape, tested on noise."""
        if shape not in self.wrong:
            noise = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
            self._find(engine, noise.to(engine.device.torch))
        return self.wrong[shape]

    @torch.inference_mode()
    def _find(self, engine: ComparedEngine, x: Tensor) -> Tensor | None:
        """Find the wrong operators at the shape of ``x``; return the correct result, or None if known before."""
        made: list[Tensor] = []
        question = [*self._architecture, list(x.shape), engine.identity]
        compare = lambda: remembered(question, engine.device, lambda: self._compare(engine, x, made))  # noqa: E731
        wrong = engine.if_it_fits(compare)
        # Comparing needs more memory than running. If running does not fit either, tiles are used: another shape.
        self.wrong[x.shape] = wrong or []
        return made[0] if made and wrong is not None else None

    def _compare(self, engine: ComparedEngine, x: Tensor, made: list[Tensor]) -> list[str]:
        """Return the wrong operators at the shape of ``x``, and append the correct result to ``made``."""
        return find_wrong(lambda: made.append(engine.compute(x)), engine.device)

    def _run_right(self, engine: ComparedEngine, x: Tensor, wrong: list[str]) -> Tensor:
        with computed_in_fp32(wrong):
            return engine.compute(x)
