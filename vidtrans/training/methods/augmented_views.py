"""A frame at another moment, or moved a little: what an output has to agree with in order not to flicker.

Along the clip's own motion, as Ruder et al. have it ("Artistic Style Transfer for Videos", GCPR 2016), and by a picture
that is moved a little and made noisy, as ReReVST has it (Wang et al., TIP 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.flow.history import METHOD, BackwardFlow, BackwardFlowEstimator, history, no_history, to_signed_range
from vidtrans.inference.torch_engine import to_levels

REAL_SHARE = 0.5  # of examples that take the clip's own motion, where it has any
MOTION, NOISE = 0.02, 0.04  # of the picture's sides; σ, where colours are from −1 to 1


@dataclass(frozen=True)
class AugmentedView:
    """Frames at another moment, (N, 3, H, W), where their pixels are now, (N, H, W, 2), and how sure, (N, 1, H, W)."""

    frames: Tensor
    grid: Tensor
    sure: Tensor

    def bring(self, outputs: Tensor) -> Tensor:
        """Return the outputs of frames now, (N, 3, H, W), as they look at the other moment."""
        return F.grid_sample(outputs, self.grid, padding_mode="reflection", align_corners=False)


class AugmentedViewDrawer:
    """Draw for each frame the one before it, where that is known, or itself moved a little, with noise."""

    def __init__(self) -> None:
        self._flow = BackwardFlowEstimator(METHOD)

    def __call__(self, frames: Tensor, earlier: Tensor, random: torch.Generator) -> AugmentedView:
        """Return half of the frames as they were a moment before, the others moved.

        Args:
            frames: (N, 3, H, W) in [−1, 1].
            earlier: the frames before them, likewise; of a picture that stands alone, the picture itself.
            random: draws which, and the motion.
        """
        count = len(frames)
        # Drawn apart from the motion: which examples take it must say nothing of where it leads.
        apart = torch.Generator().manual_seed(random.initial_seed() ^ 1)
        drawn = torch.rand(count, generator=apart).tolist()
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
        """Return where an earlier frame's pixels are in this one, and how sure that is.

        (H, W, 2) as ``grid_sample`` has it, and (1, H, W).
        """
        there = self.backward_flow(earlier, frame)
        height, width = there.flow.shape[:2]
        y, x = np.mgrid[:height, :width]
        places = np.stack([x + there.flow[..., 0] + 0.5, y + there.flow[..., 1] + 0.5], -1) / (width, height)
        grid, sure = (torch.from_numpy(a.astype(np.float32)) for a in (2 * places - 1, there.within().confidence[None]))
        return grid.to(frame.device), sure.to(frame.device)

    def history(self, frames: Tensor, earlier: Tensor, outputs: Tensor) -> Tensor:
        """Return the histories of frames from the ``outputs`` of the frames before them, (N, 4, H, W) in [−1, 1].

        All are (N, 3, H, W) in [−1, 1]; a frame that stands alone is its own earlier one, and has no history.
        """
        made = []
        for frame, before, output in zip(frames, earlier, outputs, strict=True):
            if torch.equal(frame, before):
                made.append(to_signed_range(no_history(*frame.shape[1:])))
            else:
                picture = output.float().permute(1, 2, 0).cpu().numpy()
                made.append(history(picture, self.backward_flow(frame, before).within()))
        return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).to(frames.device)

    def backward_flow(self, here: Tensor, before: Tensor) -> BackwardFlow:
        """Return the flow of ``here`` back to ``before``; both are (3, H, W) in [−1, 1]."""
        before, here = (to_levels(x[None], deep=False)[0].cpu() for x in (before, here))
        return self._flow(before.numpy(), here.numpy())
