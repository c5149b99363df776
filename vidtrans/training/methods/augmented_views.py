"""Augmented views (time shift, small motion with noise) for the temporal-consistency loss.

The time shift follows the clip's own motion, as in Ruder et al. ("Artistic Style Transfer for Videos", GCPR 2016); the
small synthetic motion with noise is as in ReReVST (Wang et al., TIP 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.flow.history import METHOD, BackwardFlow, BackwardFlowEstimator, history, no_history, to_signed_range
from vidtrans.inference.torch_engine import to_levels

REAL_SHARE = 0.5  # Share of the examples that take the clip's own motion, where it has any.
MOTION, NOISE = 0.02, 0.04  # Share of the picture's sides; σ, where colours are from −1 to 1.


@dataclass(frozen=True)
class AugmentedView:
    """Augmented ``frames``, (N, 3, H, W), and the ``grid``, (N, H, W, 2), that warps the current frames to them.

    ``confidence``: of the grid, (N, 1, H, W), 0 to 1.
    """

    frames: Tensor
    grid: Tensor
    confidence: Tensor

    def warp(self, outputs: Tensor) -> Tensor:
        """Warp outputs of the current frames, (N, 3, H, W), to the view."""
        return F.grid_sample(outputs, self.grid, padding_mode="reflection", align_corners=False)


class AugmentedViewDrawer:
    """Draws a view of each frame: the frame before it, or a slightly moved and noisy copy."""

    def __init__(self) -> None:
        self._flow = BackwardFlowEstimator(METHOD)

    def __call__(self, frames: Tensor, earlier: Tensor, random: torch.Generator) -> AugmentedView:
        """Return a view of each frame: about half are the preceding frames, the others moved copies.

        Args:
            frames: (N, 3, H, W) in [−1, 1].
            earlier: The preceding frames, in the same format; for a single picture, the picture itself.
            random: Draws the kind of each view, and its motion.
        """
        count = len(frames)
        # Drawn apart from the motion: which examples take it must say nothing of where it leads.
        kind_random = torch.Generator().manual_seed(random.initial_seed() ^ 1)
        drawn = torch.rand(count, generator=kind_random).tolist()
        still = torch.eye(2, 3).expand(count, 2, 3)
        motion = still + MOTION * (2 * torch.rand(count, 2, 3, generator=random) - 1)
        grid = F.affine_grid(motion.to(frames.device), list(frames.shape), align_corners=False)
        noise = NOISE * torch.randn(frames.shape, generator=random).to(frames.device)
        others = F.grid_sample(frames, grid, padding_mode="reflection", align_corners=False) + noise
        sure = torch.ones_like(frames[:, :1])
        for number in range(count):
            if drawn[number] < REAL_SHARE and not torch.equal(frames[number], earlier[number]):
                others[number] = earlier[number]
                grid[number], sure[number] = self._back(frames[number], earlier[number])
        return AugmentedView(others, grid, sure)

    def _back(self, frame: Tensor, earlier: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ``grid_sample`` grid, (H, W, 2), that warps ``frame`` to ``earlier``; its confidence (1, H, W)."""
        there = self.backward_flow(earlier, frame)
        height, width = there.flow.shape[:2]
        y, x = np.mgrid[:height, :width]
        places = np.stack([x + there.flow[..., 0] + 0.5, y + there.flow[..., 1] + 0.5], -1) / (width, height)
        grid, sure = (torch.from_numpy(a.astype(np.float32)) for a in (2 * places - 1, there.within().confidence[None]))
        return grid.to(frame.device), sure.to(frame.device)

    def history(self, frames: Tensor, earlier: Tensor, outputs: Tensor) -> Tensor:
        """Return the histories of frames, (N, 4, H, W) in [−1, 1], from ``outputs`` of the preceding frames.

        All are (N, 3, H, W) in [−1, 1]; a single picture is its own preceding frame, and has an empty history.
        """
        histories = []
        for frame, before, output in zip(frames, earlier, outputs, strict=True):
            if torch.equal(frame, before):
                histories.append(to_signed_range(no_history(*frame.shape[1:])))
            else:
                picture = output.float().permute(1, 2, 0).cpu().numpy()
                histories.append(history(picture, self.backward_flow(frame, before).within()))
        return torch.from_numpy(np.stack(histories)).permute(0, 3, 1, 2).to(frames.device)

    def backward_flow(self, here: Tensor, before: Tensor) -> BackwardFlow:
        """Return the backward flow from ``here`` to ``before``; both are (3, H, W) in [−1, 1]."""
        before, here = (to_levels(x[None], deep=False)[0].cpu() for x in (before, here))
        return self._flow(before.numpy(), here.numpy())
