"""Style training: a generator learns a style picture's manner while it preserves the content of its input.

Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016, on the frames of one
clip; many looks as in Dumoulin et al. (ICLR 2017). Additional losses: the distribution of colours (sliced Wasserstein),
since Gram matrices leave large flat areas free; and steadiness, along the clip's own motion (Ruder et al., GCPR 2016)
and under a small synthetic motion with noise, as in ReReVST (Wang et al., TIP 2020). Parts whose content is kept are
left out of the style's statistics (guided Gram matrices: Gatys et al., "Controlling Perceptual Factors", CVPR 2017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from vidtrans.core.costs import count as plural
from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_file
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.inference.device import tensor_float32
from vidtrans.inference.engine import Engine
from vidtrans.metrics.picture_quality import Brushwork
from vidtrans.networks.painter import Painter
from vidtrans.networks.predicted_style import PredictedStyle
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.look_pairing import STROKE_LEVELS
from vidtrans.perception import MEASURES, critic_of, load_critic, load_measure, resolve_measure
from vidtrans.perception.measure import (
    STROKE_SIDES,
    Style,
    draw_shift,
    middle_of,
    moved,
    to_matte,
    to_signed,
    weighted_error,
    with_short_side,
)
from vidtrans.training import LookMethodSettings
from vidtrans.training.methods.augmented_views import AugmentedViewDrawer
from vidtrans.training.methods.base import Setup, TrainingMethod, TrainingStep, training_step
from vidtrans.training.methods.network_trainer import NetworkTrainer, WeightAverage, autocast
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.validation import evenly, pair_input
from vidtrans.video.images.picture import read_picture

MAX_SCORED = 8  # Held-out frames that are scored.

T = TypeVar("T")


class LookMethod(TrainingMethod):
    """The style method: one generator. Losses of a step: style, content, colour, steadiness."""

    columns = ["style", "content", "colour", "steadiness"]  # noqa: RUF012
    keeps_content = True

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
        self.brushwork = [[Brushwork.of(with_short_side(p, side)) for side in STROKE_SIDES] for p in pictures]
        if len(self.styles) != self.generator.looks:
            why = f"{plural(len(self.styles), 'picture')} for {plural(self.generator.looks, 'look')}"
            raise UsageError("training.look_pictures", why, "give one for each look")

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Build the network and the method."""
        return cls(setup)

    @staticmethod
    def identity(settings: TrainingSettings) -> str:
        """Return the identifiers of the measure and the critic, and the digests of the style pictures."""
        own = settings.own(LookMethodSettings)
        measures = MEASURES.load(resolve_measure(own.look_measure)), critic_of(own.look_measure)
        pictures = [digest_file(Path(path)) for path in own.look_pictures]
        return ", ".join([*(m.identity() for m in measures), *pictures])

    def optimize(self, step: TrainingStep) -> dict[str, float]:
        """Update the generator. Planes of ``inputs`` select look and stroke size; ``targets``: preceding frames.

        ``weights``: 1 where the content is kept.
        """
        random = torch.Generator().manual_seed(step.seed + self.dist.rank)
        with training_step(self.device, self.nondeterministic), tensor_float32(self.precision):
            x, before = self.upload(step.inputs, step.targets)
            keep = self.upload(step.weights)[0] if step.weights is not None else None
            losses = self._losses(x, before, random, keep)
            own = self.settings.own(LookMethodSettings)
            weights_of = (own.look_style, 1.0, own.look_colour, own.look_steady)
            total = torch.stack([weight * loss for weight, loss in zip(weights_of, losses, strict=True)]).sum()
            self.g.zero_grad()
            self.g.backward(total)
            self.g.optimizer_step(step.lr)
            if self.average:
                self.average.update()
            return dict(zip(self.columns, torch.stack(losses).tolist(), strict=True))

    def _losses(
        self, inputs: Tensor, earlier: Tensor, random: torch.Generator, keep: Tensor | None = None
    ) -> list[Tensor]:
        """Return style, content, colour and steadiness.

        Args:
            inputs: (N, 3 + conditions, H, W).
            earlier: The preceding frames, (N, 3, H, W).
            random: Draws the pictures' shift on the measure's grid, the colour loss's projections, and the view.
            keep: Where the content is kept, (N, 1, H, W), 0 to 1. Style and colours do not count there; ``look_keep``
                times the distance from the inputs, of features and of pixels, is added to the content. All other
                pixels count as they do without it.
        """
        count, frames = len(inputs), inputs[:, :3]
        view = self._draw_view(frames, earlier, random)
        with self.g.autocast():
            both = self.generator.train()(torch.cat([inputs, torch.cat([view.frames, inputs[:, 3:]], 1)])).float()
            output, of_moved = both[:count], both[count:]
            shift = draw_shift(frames.shape[2:], random)
            with torch.no_grad():
                of_inputs = self.measure.see(moved(frames, shift))
            seen = self.measure.see(moved(output, shift))
        self.painted = output.detach()
        content, outside, shares = self.measure.content(seen, of_inputs), None, torch.ones(count)
        if keep is not None:
            of_features = self.measure.content(seen, of_inputs, moved(keep, shift))
            of_pixels = weighted_error(output, frames, keep)
            content = content + self.settings.own(LookMethodSettings).look_keep * (of_features + of_pixels)
            outside = 1 - keep
            shares = outside.mean((1, 2, 3))
        style, colour = [], []
        for number in range(count):
            wanted, one = _chosen(inputs[number], self.styles), slice(number, number + 1)
            where, moved_where = (None, None) if outside is None else (outside[one], moved(outside[one], shift))
            of_style = self.measure.style(self.measure.one(seen, number), wanted.manner, moved_where)
            style.append(shares[number] * of_style)
            colour.append(shares[number] * wanted.colour_distance(output[one], random, where))
        return [
            torch.stack(style).mean(),
            content,
            torch.stack(colour).mean(),
            (view.confidence * (view.warp(output) - of_moved).square()).mean(),
        ]

    @property
    def learners(self) -> dict[str, NetworkTrainer | WeightAverage]:
        """Return the generator with its optimizer, and the average."""
        return {"generator": self.g} | ({"average": self.average} if self.average else {})

    def validate(self, engine: Engine, pairing: Pairing, pairs: Sequence[Pair]) -> Table:
        """Return the scores of rendered held-out frames, each a mean.

        ``feature_likeness``: 1 − d(output) / d(frame), with d the distance of the critic's features from those of the
        style picture; ``content``: their distance from those of the frames. ``stroke_likeness``: see ``Brushwork``.
        Where the content is kept it is ``content_kept``, if it is kept anywhere, and no part of ``feature_likeness``.
        """
        found, kept = [], []
        for pair in evenly(pairs, MAX_SCORED):
            given = pair_input(pairing, pair)
            output = engine(given[None])[0]
            signed_output, frame, x = (to_signed(p, self.device.torch) for p in (output, given[..., :3], given))
            with torch.no_grad(), autocast(self.device, self.precision):
                seen, of_input = self.critic.see(signed_output), self.critic.see(frame)
                manner = _chosen(x[0], self.criticised).manner
                matte = to_matte(read_picture(pair.keep), self.device.torch) if pair.keep else None
                where = None if matte is None else 1 - matte
                of_made, of_frame = (float(self.critic.style(s, manner, where)) for s in (seen, of_input))
                content = float(self.critic.content(seen, of_input))
                if matte is not None and matte.any():
                    kept.append(float(self.critic.content(seen, of_input, matte / matte.mean())))
            strokes = Brushwork.of(output).likeness(_chosen(x[0], self.brushwork))
            found.append((1 - of_made / max(of_frame, 1e-6), strokes, content))
        names = ("feature_likeness", "stroke_likeness", "content")
        means = zip(names, np.mean(found, axis=0).tolist(), strict=True)
        scores = {name: round(mean, 4) for name, mean in means}
        return {"pairs": len(found)} | scores | ({"content_kept": round(float(np.mean(kept)), 4)} if kept else {})

    def describe(self, losses: Mapping[str, float]) -> str:
        """Return the losses for the progress line."""
        return f"style {losses['style']:.2f}  content {losses['content']:.2f}"


def _chosen(x: Tensor, by_look: Sequence[Sequence[T]]) -> T:
    """Return the item of ``by_look``, by stroke size, that the planes of an input (3 + conditions, H, W) select."""
    planes = x[3:, 0, 0].float().cpu()
    look = int(planes[:-1].argmax()) if len(planes) > 1 else 0
    levels = torch.tensor(STROKE_LEVELS) / 127.5 - 1
    return by_look[look][int((levels - planes[-1]).abs().argmin())]
