"""vid2vid's temporal discriminator D_V, which compares triples: three consecutive frames of output and target.

Wang et al., "Video-to-Video Synthesis", NeurIPS 2018, section 3.2. Each frame of a flickering video may resemble the
target; a triple does not. Unlike the paper's, this D_V does not see the motion, and the generator learns by the last
frame only: the two before come from earlier steps, see ``rollout_pool``.
"""

from __future__ import annotations

from torch import Tensor

from vidtrans.training import ADVERSARIAL
from vidtrans.training.losses.adversarial import generator_loss
from vidtrans.training.losses.base import LossContext, Term
from vidtrans.training.settings import TrainingSettings


class TemporalGAN(Term):
    """What G minimises of D_V's judgement."""

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__(settings)
        self.objective = ADVERSARIAL.load(settings.gan_mode)

    def forward(self, step: LossContext) -> Tensor | None:
        """Return a mean over the triples of all of the step, or None where this part of it has none."""
        if step.earlier is None or step.judge_triples is None:
            return None
        on_fake = step.judge_triples(step.earlier.fake(step.output))
        return generator_loss(self.objective, on_fake) * step.earlier.share / step.share
