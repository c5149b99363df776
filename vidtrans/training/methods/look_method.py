"""Style training: a generator learns a style picture's manner while it preserves the content of its input.

Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016, on the frames of one
clip; many looks as in Dumoulin et al. (ICLR 2017). Additional losses: the distribution of colours (sliced Wasserstein),
since Gram matrices leave large flat areas free; and steadiness, along the clip's own motion (Ruder et al., GCPR 2016)
and under a small synthetic motion with noise, as in ReReVST (Wang et al., TIP 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_file
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.inference.device import tensor_float32
from vidtrans.inference.engine import Engine
from vidtrans.networks.painter import Painter
from vidtrans.networks.predicted_style import PredictedStyle
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.look_pairing import STROKE_LEVELS
from vidtrans.perception import MEASURES, critic_of, load_critic, load_measure, resolve_measure
from vidtrans.perception.measure import draw_shift, moved
from vidtrans.perception.style import STROKE_SIDES, Style, middle_of, to_signed
from vidtrans.training.losses.base import PrecedingFrames
from vidtrans.training.method_settings import LookMethodSettings
from vidtrans.training.methods.augmented_views import AugmentedViewDrawer
from vidtrans.training.methods.base import Setup, TrainingMethod, training_step
from vidtrans.training.methods.network_trainer import NetworkTrainer, autocast
from vidtrans.training.methods.weight_average import WeightAverage
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.validation import evenly, pair_input
from vidtrans.video.images.picture import read_picture

MAX_SCORED = 8  # held-out frames


class LookMethod(TrainingMethod):
    """The style method: one generator. Losses of a step: style, content, colour, steadiness."""

    columns = ["style", "content", "colour", "steadiness"]  # noqa: RUF012

    def __init__(self, setup: Setup) -> None:
        self.use(setup.settings, setup.device, setup.precision, setup.dist)
        generator: Any = setup.make_generator()
        if not isinstance(generator, Painter | PredictedStyle) or generator.conditions == 0:
            raise UsageError(
                "training.method = 'look'", "it trains painters with looks only", "use 'vidtrans look PICTURE'"
            )
        own = self.settings.own(LookMethodSettings)
        self.generator = self.place(generator)
        self.networks = {"generator": self.generator}
        self.g = NetworkTrainer(self.generator, self.settings, self.device, self.precision, self.dist)
        self.average = WeightAverage(self.generator, self.settings.ema_decay) if self.settings.ema_decay else None
        self._draw_view = AugmentedViewDrawer()
        self.measure = load_measure(own.look_measure).to(self.device.torch)
        self.critic = load_critic(own.look_measure).to(self.device.torch)
        pictures = [middle_of(read_picture(Path(path))) for path in own.look_pictures]
        self.styles, self.criticised = (
            [[Style.of(picture, side, by) for side in STROKE_SIDES] for picture in pictures]
            for by in (self.measure, self.critic)
        )
        if len(self.styles) != self.generator.looks:
            why = f"{len(self.styles)} pictures for {self.generator.looks} looks"
            raise UsageError("training.look_pictures", why, "give one for each look")

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Build the network and the method."""
        return cls(setup)

    @property
    def learned(self) -> nn.Module:
        """Return the averaged generator, or the generator without averaging."""
        return self.average.network if self.average else self.generator

    @staticmethod
    def identity(settings: TrainingSettings) -> str:
        """Return the identifiers of the measure and the critic, and the digests of the style pictures."""
        own = settings.own(LookMethodSettings)
        measures = MEASURES.load(resolve_measure(own.look_measure)), critic_of(own.look_measure)
        pictures = [digest_file(Path(path)) for path in own.look_pictures]
        return ", ".join([*(m.identity() for m in measures), *pictures])

    def step(
        self,
        inputs: Tensor,
        targets: Tensor,
        *,
        lr: float,
        seed: int,
        progress: float = 1.0,
        weights: Tensor | None = None,
        earlier: PrecedingFrames | None = None,
    ) -> dict[str, float]:
        """Update the generator. Planes of ``inputs`` select look and stroke size; ``targets``: preceding frames."""
        random = torch.Generator().manual_seed(seed + self.dist.rank)
        with training_step(self.device, self.nondeterministic), tensor_float32(self.precision):
            x, before = self.upload(inputs, targets)
            losses = self._losses(x, before, random)
            own = self.settings.own(LookMethodSettings)
            weights_of = (own.look_style, 1.0, own.look_colour, own.look_steady)
            total = torch.stack([weight * loss for weight, loss in zip(weights_of, losses, strict=True)]).sum()
            self.g.zero_grad()
            self.g.backward(total)
            self.g.optimizer_step(lr)
            if self.average:
                self.average.update(self.generator)
            return dict(zip(self.columns, torch.stack(losses).tolist(), strict=True))

    def _losses(self, inputs: Tensor, earlier: Tensor, random: torch.Generator) -> list[Tensor]:
        """Return style, content, colour and steadiness.

        Args:
            inputs: (N, 3 + conditions, H, W).
            earlier: The preceding frames, (N, 3, H, W).
            random: Draws the pictures' shift on the measure's grid, the colour loss's projections, and the view.
        """
        count, frames = len(inputs), inputs[:, :3]
        view = self._draw_view(frames, earlier, random)
        with autocast(self.device, self.precision):
            both = self.generator.train()(torch.cat([inputs, torch.cat([view.frames, inputs[:, 3:]], 1)])).float()
            output, of_moved = both[:count], both[count:]
            shift = draw_shift(frames.shape[2:], random)
            with torch.no_grad():
                of_inputs = self.measure.see(moved(frames, shift))
            seen = self.measure.see(moved(output, shift))
        self.painted = output.detach()
        style, colour = [], []
        for number in range(count):
            wanted = _style_of(inputs[number], self.styles)
            style.append(self.measure.style(self.measure.one(seen, number), wanted.manner))
            colour.append(wanted.colour_distance(output[number : number + 1], random))
        return [
            torch.stack(style).mean(),
            self.measure.content(seen, of_inputs),
            torch.stack(colour).mean(),
            (view.sure * (view.bring(output) - of_moved).square()).mean(),
        ]

    @property
    def learners(self) -> dict[str, NetworkTrainer | WeightAverage]:
        """Return the generator with its optimizer, and the average."""
        return {"generator": self.g} | ({"average": self.average} if self.average else {})

    def validate(self, engine: Engine, pairing: Pairing, pairs: Sequence[Pair]) -> Table:
        """Return the critic's scores of rendered held-out frames.

        ``likeness``: 1 − d(output) / d(frame), with d the distance from the picture's style; ``content``: the distance
        of the outputs from the content of the frames. Both are means.
        """
        found = []
        for pair in evenly(pairs, MAX_SCORED):
            given = pair_input(pairing, pair)
            output = engine(given[None])[0]
            signed_output, frame, x = (to_signed(p, self.device.torch) for p in (output, given[..., :3], given))
            with torch.no_grad(), autocast(self.device, self.precision):
                seen, of_input = self.critic.see(signed_output), self.critic.see(frame)
                manner = _style_of(x[0], self.criticised).manner
                of_made, of_frame = (float(self.critic.style(s, manner)) for s in (seen, of_input))
                found.append([1 - of_made / max(of_frame, 1e-6), float(self.critic.content(seen, of_input))])
        likeness, content = np.mean(found, axis=0).tolist()
        return {"pairs": len(found), "likeness": round(likeness, 4), "content": round(content, 4)}

    def describe(self, losses: Mapping[str, float]) -> str:
        """Return the losses for the progress line."""
        return f"style {losses['style']:.2f}  content {losses['content']:.2f}"


def _style_of(x: Tensor, styles: Sequence[Sequence[Style]]) -> Style:
    """Return the target style of an example, which the planes of its input (3 + conditions, H, W) select."""
    planes = x[3:, 0, 0].float().cpu()
    look = int(planes[:-1].argmax()) if len(planes) > 1 else 0
    levels = torch.tensor(STROKE_LEVELS) / 127.5 - 1
    return styles[look][int((levels - planes[-1]).abs().argmin())]
