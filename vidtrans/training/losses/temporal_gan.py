"""vid2vid's temporal discriminator D_V, which compares triples: three consecutive frames of output and target.

Wang et al., "Video-to-Video Synthesis", NeurIPS 2018, section 3.2. A single frame of a flickering video may resemble
the target; a triple does not. Unlike the paper's, this D_V does not see the motion, and only the last frame of a triple
has a gradient: the two frames before come from earlier steps, see ``training.feedback``.
"""

from __future__ import annotations

from torch import Tensor

from vidtrans.training.losses.adversarial import generator_loss
from vidtrans.training.losses.base import LossContext
from vidtrans.training.losses.gan import GAN


class TemporalGAN(GAN):
    """G's adversarial loss against D_V."""

    uses_discriminator = False

    def forward(self, step: LossContext) -> Tensor | None:
        """Return the loss of this micro-batch's triples, weighted by its share of them; None without triples.

        The losses of the micro-batches add up to the mean over the step.
        """
        if step.earlier is None or step.judge_triples is None:
            return None
        on_fake = step.judge_triples(step.earlier.fake(step.output))
        return generator_loss(self.objective, on_fake) * step.earlier.share / step.share
