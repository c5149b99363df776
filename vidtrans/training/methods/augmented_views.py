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

# Share of frames whose view is the preceding frame, among frames that differ from their preceding frame.
TIME_SHIFT_SHARE = 0.5
MAX_MOTION = 0.02  # Maximum synthetic motion, in units of half the picture's sides.
NOISE_SIGMA = 0.04  # Standard deviation of the synthetic noise, for colours in [−1, 1].


@dataclass(frozen=True)
class AugmentedView:
    """A view of each frame of a batch: the preceding frame, or a moved and noisy copy; ``frames``: (N, 3, H, W).

    ``grid``: the ``grid_sample`` grid, (N, H, W, 2), that warps the current frames to the view.

    ``confidence``: the confidence of the grid, (N, 1, H, W), 0 to 1.
    """

    frames: Tensor
    grid: Tensor
    confidence: Tensor

    def warp(self, outputs: Tensor) -> Tensor:
        """Warp the outputs of the current frames, (N, 3, H, W), to the view."""
        return F.grid_sample(outputs, self.grid, padding_mode="reflection", align_corners=False)


class AugmentedViewSampler:
    """A sampler of augmented views: either the preceding frame, or a slightly moved and noisy copy of a frame."""

    def __init__(self) -> None:
        self._flow = BackwardFlowEstimator(METHOD)

    def __call__(self, frames: Tensor, earlier: Tensor, random: torch.Generator) -> AugmentedView:
        """Return a view of each frame: for about half of the frames the preceding frame, else a moved copy.

        Args:
            frames: (N, 3, H, W) in [−1, 1].
            earlier: The preceding frames, in the same format; for a single picture, the picture itself.
            random: Draws each view's kind and motion.
        """
        count = len(frames)
        # A view's kind has a separate random generator, so that kind and synthetic motion do not correlate.
        kind_random = torch.Generator().manual_seed(random.initial_seed() ^ 1)
        kinds = torch.rand(count, generator=kind_random).tolist()
        no_motion = torch.eye(2, 3).expand(count, 2, 3)
        motion = no_motion + MAX_MOTION * (2 * torch.rand(count, 2, 3, generator=random) - 1)
        grid = F.affine_grid(motion.to(frames.device), list(frames.shape), align_corners=False)
        noise = NOISE_SIGMA * torch.randn(frames.shape, generator=random).to(frames.device)
        views = F.grid_sample(frames, grid, padding_mode="reflection", align_corners=False) + noise
        confidence = torch.ones_like(frames[:, :1])
        for i in range(count):
            if kinds[i] < TIME_SHIFT_SHARE and not torch.equal(frames[i], earlier[i]):
                views[i] = earlier[i]
                grid[i], confidence[i] = self._time_shift_grid(frames[i], earlier[i])
        return AugmentedView(views, grid, confidence)

    def _time_shift_grid(self, frame: Tensor, earlier: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ``grid_sample`` grid from ``frame`` to ``earlier``, (H, W, 2), and its confidence, (1, H, W)."""
        backward = self.backward_flow(earlier, frame)
        height, width = backward.flow.shape[:2]
        y, x = np.mgrid[:height, :width]
        positions = np.stack([x + backward.flow[..., 0] + 0.5, y + backward.flow[..., 1] + 0.5], -1) / (width, height)
        arrays = (2 * positions - 1, backward.within().confidence[None])
        grid, confidence = (torch.from_numpy(array.astype(np.float32)).to(frame.device) for array in arrays)
        return grid, confidence

    def history(self, frames: Tensor, earlier: Tensor, outputs: Tensor) -> Tensor:
        """Return histories, (N, 4, H, W) in [−1, 1]: the ``outputs`` of ``earlier`` frames, warped to ``frames``.

        The fourth channel is the confidence. The arguments are (N, 3, H, W) in [−1, 1]; the history is empty where a
        frame equals its preceding frame, as for a single picture.
        """
        histories = []
        for frame, previous, output in zip(frames, earlier, outputs, strict=True):
            if torch.equal(frame, previous):
                histories.append(to_signed_range(no_history(*frame.shape[1:])))
            else:
                picture = output.float().permute(1, 2, 0).cpu().numpy()
                histories.append(history(picture, self.backward_flow(frame, previous).within()))
        return torch.from_numpy(np.stack(histories)).permute(0, 3, 1, 2).to(frames.device)

    def backward_flow(self, frame: Tensor, previous: Tensor) -> BackwardFlow:
        """Return the backward flow from ``frame`` to ``previous``; both are (3, H, W) in [−1, 1]."""
        previous, frame = (to_levels(x[None], deep=False)[0].cpu() for x in (previous, frame))
        return self._flow(previous.numpy(), frame.numpy())
