"""Style training: a generator learns the style of a picture, and preserves the content of its input.

Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016, on the frames of one
clip; several styles as in Dumoulin et al. (ICLR 2017). Additional losses: the distribution of colours (sliced
Wasserstein), since Gram matrices do not constrain large flat areas; tones, so that dark areas stay dark; and
steadiness, along the clip's own motion (Ruder et al., GCPR 2016) and under a small synthetic motion with noise, as in
ReReVST (Wang et al., TIP 2020). Areas with preserved content are excluded from the style's statistics (guided Gram
matrices: Gatys et al., "Controlling Perceptual Factors", CVPR 2017).
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
from vidtrans.perception import MEASURES, critic_name, load_measure
from vidtrans.perception.measure import (
    STROKE_SIDES,
    Style,
    crop_to_middle,
    draw_shift,
    shift_pictures,
    to_matte,
    to_signed,
    tone_distance,
    weighted_error,
    with_short_side,
)
from vidtrans.training import LookMethodSettings
from vidtrans.training.methods.augmented_views import AugmentedViewSampler
from vidtrans.training.methods.base import Setup, TrainingMethod, TrainingStep, training_step
from vidtrans.training.methods.network_trainer import NetworkTrainer, WeightAverage, autocast
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.validation import pair_input, pick_evenly
from vidtrans.video.images.picture import read_picture

MAX_SCORED = 8  # Maximum number of held-out frames that are scored.

T = TypeVar("T")  # The type of an item that belongs to a style and a stroke size.


class LookMethod(TrainingMethod):
    """The training method of style pictures, with one generator. Losses: style, content, colour, tone, steadiness."""

    columns = ["style", "content", "colour", "tone", "steadiness"]  # noqa: RUF012
    preserves_content = True

    def __init__(self, setup: Setup) -> None:
        self.configure(setup.settings, setup.device, setup.precision, setup.dist)
        generator: Any = setup.make_generator()
        if not isinstance(generator, Painter | PredictedStyle) or generator.conditions == 0:
            raise UsageError(
                "training.method = 'look'", "it trains painters with looks only", "use 'vidtrans look PICTURE'"
            )
        own_settings = self.settings.own(LookMethodSettings)
        self.generator = self.place(generator)
        self.networks = {"generator": self.generator}
        self.g = NetworkTrainer(self.generator, self.settings, self.device, self.precision, self.dist)
        self.average = WeightAverage(self.generator, self.settings.ema_decay) if self.settings.ema_decay else None
        self._sample_view = AugmentedViewSampler()
        self.measure = load_measure(own_settings.look_measure).to(self.device.torch)
        self.critic = load_measure(critic_name(own_settings.look_measure)).to(self.device.torch)
        pictures = [crop_to_middle(read_picture(Path(path))) for path in own_settings.look_pictures]
        self.styles, self.critic_styles = (
            [[Style.of(picture, side, by) for side in STROKE_SIDES] for picture in pictures]
            for by in (self.measure, self.critic)
        )
        self.brushwork = [[Brushwork.of(with_short_side(p, side)) for side in STROKE_SIDES] for p in pictures]
        if len(self.styles) != self.generator.looks:
            why = f"{plural(len(self.styles), 'picture')} for {plural(self.generator.looks, 'look')}"
            raise UsageError("training.look_pictures", why, "give one for each look")

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Build the generator, and load the style pictures."""
        return cls(setup)

    @staticmethod
    def identity(settings: TrainingSettings) -> str:
        """Return the identifiers of the two networks that compare styles, and the digests of the style pictures."""
        own_settings = settings.own(LookMethodSettings)
        names = own_settings.look_measure, critic_name(own_settings.look_measure)
        pictures = [digest_file(Path(path)) for path in own_settings.look_pictures]
        return ", ".join([*(MEASURES.load(name).identity() for name in names), *pictures])

    def optimize(self, step: TrainingStep) -> dict[str, float]:
        """Update the generator.

        Planes of ``step.inputs`` select style and stroke size; ``step.targets``: preceding frames.

        ``step.weights``: 1 where the content is preserved.
        """
        random = torch.Generator().manual_seed(step.seed + self.dist.rank)
        with training_step(self.device, self.nondeterministic), tensor_float32(self.precision):
            x, before = self.upload(step.inputs, step.targets)
            keep = self.upload(step.weights)[0] if step.weights is not None else None
            losses = self._losses(x, before, random, keep)
            own_settings = self.settings.own(LookMethodSettings)
            loss_weights = (
                own_settings.look_style,
                1.0,
                own_settings.look_colour,
                own_settings.look_tone,
                own_settings.look_steady,
            )
            total = torch.stack([weight * loss for weight, loss in zip(loss_weights, losses, strict=True)]).sum()
            self.g.zero_grad()
            self.g.backward(total)
            self.g.optimizer_step(step.lr)
            if self.average:
                self.average.update()
            return dict(zip(self.columns, torch.stack(losses).tolist(), strict=True))

    def _losses(
        self, inputs: Tensor, earlier: Tensor, random: torch.Generator, keep: Tensor | None = None
    ) -> list[Tensor]:
        """Return the unweighted style, content, colour, tone and steadiness losses, a scalar each.

        Args:
            inputs: (N, 3 + conditions, H, W).
            earlier: The preceding frames, (N, 3, H, W).
            random: Draws the shift of the patch grid, the projections of the colour loss, and the augmented views.
            keep: 1 where the content is preserved, (N, 1, H, W), 0 to 1. Style and colours are ignored there;
                ``look_keep`` times the distance from the inputs, of features and of pixels, is added to the content.
                The weight of all other pixels does not depend on it.
        """
        count, frames = len(inputs), inputs[:, :3]
        view = self._sample_view(frames, earlier, random)
        with self.g.autocast():
            outputs = self.generator.train()(torch.cat([inputs, torch.cat([view.frames, inputs[:, 3:]], 1)])).float()
            output, view_output = outputs[:count], outputs[count:]
            shift = draw_shift(frames.shape[2:], random)
            with torch.no_grad():
                input_features = self.measure.see(shift_pictures(frames, shift))
            output_features = self.measure.see(shift_pictures(output, shift))
        self.last_outputs = output.detach()
        content, outside, shares = self.measure.content(output_features, input_features), None, torch.ones(count)
        if keep is not None:
            feature_error = self.measure.content(output_features, input_features, shift_pictures(keep, shift))
            pixel_error = weighted_error(output, frames, keep)
            content = content + self.settings.own(LookMethodSettings).look_keep * (feature_error + pixel_error)
            outside = 1 - keep
            shares = outside.mean((1, 2, 3))
        style, colour = [], []
        for number in range(count):
            target, row = _select(inputs[number], self.styles), slice(number, number + 1)
            mask, moved_mask = (None, None) if outside is None else (outside[row], shift_pictures(outside[row], shift))
            style_error = self.measure.style(self.measure.one(output_features, number), target.statistics, moved_mask)
            style.append(shares[number] * style_error)
            colour.append(shares[number] * target.colour_distance(output[row], random, mask))
        return [
            torch.stack(style).mean(),
            content,
            torch.stack(colour).mean(),
            tone_distance(output, frames),
            (view.confidence * (view.warp(output) - view_output).square()).mean(),
        ]

    def validate(self, engine: Engine, pairing: Pairing, pairs: Sequence[Pair]) -> Table:
        """Return the mean scores of rendered held-out frames.

        ``feature_likeness``: 1 − d(output) / d(frame), with d the distance of the critic's features from those of the
        style picture; ``content``: the distance of the output's features from the frame's. ``stroke_likeness``: see
        ``Brushwork``. ``content_kept``: ``content`` where it is preserved, only if it is preserved anywhere;
        ``feature_likeness`` ignores these areas.
        """
        rows, preserved = [], []
        for pair in pick_evenly(pairs, MAX_SCORED):
            network_input = pair_input(pairing, pair)
            output = engine(network_input[None])[0]
            pictures = (output, network_input[..., :3], network_input)
            signed_output, frame, x = (to_signed(picture, self.device.torch) for picture in pictures)
            with torch.no_grad(), autocast(self.device, self.precision):
                output_features, input_features = self.critic.see(signed_output), self.critic.see(frame)
                statistics = _select(x[0], self.critic_styles).statistics
                matte = to_matte(read_picture(pair.keep), self.device.torch) if pair.keep else None
                mask = None if matte is None else 1 - matte
                output_error, frame_error = (
                    float(self.critic.style(s, statistics, mask)) for s in (output_features, input_features)
                )
                content = float(self.critic.content(output_features, input_features))
                if matte is not None and matte.any():
                    preserved.append(float(self.critic.content(output_features, input_features, matte / matte.mean())))
            strokes = Brushwork.of(output).likeness(_select(x[0], self.brushwork))
            rows.append((1 - output_error / max(frame_error, 1e-6), strokes, content))
        names = ("feature_likeness", "stroke_likeness", "content")
        means = zip(names, np.mean(rows, axis=0).tolist(), strict=True)
        scores = {name: round(mean, 4) for name, mean in means}
        preserved_score = {"content_kept": round(float(np.mean(preserved)), 4)} if preserved else {}
        return {"pairs": len(rows)} | scores | preserved_score

    def describe(self, losses: Mapping[str, float]) -> str:
        """Return the style and content losses as text for the progress line."""
        return f"style {losses['style']:.2f}  content {losses['content']:.2f}"


def _select(x: Tensor, items: Sequence[Sequence[T]]) -> T:
    """Return the entry of ``items[style][stroke size]`` for the style and stroke size that the condition planes encode.

    ``x``: the input of the generator, (3 + conditions, H, W).
    """
    planes = x[3:, 0, 0].float().cpu()
    look = int(planes[:-1].argmax()) if len(planes) > 1 else 0
    levels = torch.tensor(STROKE_LEVELS) / 127.5 - 1
    return items[look][int((levels - planes[-1]).abs().argmin())]
