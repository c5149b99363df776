"""What a next-frame model makes of its own frames, told in the training report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from vidtrans.settings import Table
from vidtrans.training.report.curves import Words, figure

HOLDING = {
    "nn": Words("Nearest frame", "dB", "how near the last frames come to one that was learned; noise and mush do not"),
    "drift": Words("Drift", "levels of 255", "how far the colours of the last frames lie outside of the clip's"),
    "sharpness": Words("Sharpness", "× clip", "of the last frames"),
    "m1": Words("Motion, 1 frame", "× clip", "flicker counts as motion here"),
    "m4": Words("Motion, 4 frames", "× clip", "0 is a film that has frozen"),
    "uniq": Words("Different frames", "", "how many of the learned frames its second half comes near to"),
}


@dataclass(frozen=True)
class Dreamt:
    """``scores``: the table of ``Rollouts.score``; ``strip``: (number of the frame, (H, W, 3) uint8 picture)."""

    scores: Table
    strip: Sequence[tuple[int, np.ndarray]]


def section(dreamt: Dreamt, pictures: Sequence[str]) -> str:
    """The page's part; ``pictures``: the strip's, as data URIs."""
    scores = dreamt.scores
    frames = "".join(
        f'<figure><img src="{uri}" alt="frame {n}"><figcaption>frame {n}</figcaption></figure>'
        for (n, _), uri in zip(dreamt.strip, pictures, strict=True)
    )
    told = f"{scores['frames']} frames, each made of the ones before it, with no hand on them."
    cards = "".join(_card(words, scores, name) for name, words in HOLDING.items())
    return (
        f'<section id="dream"><h2>Left to itself</h2><p>{told}</p><div class="sheets">{frames}</div>'
        f'<dl class="cards" aria-label="scores of the film">{cards}</dl>{_horizons(scores)}</section>'
    )


def _card(words: Words, scores: Mapping[str, float], name: str) -> str:
    value = scores[name]
    shown = f"{value} of {scores['uniq_real']}" if name == "uniq" else figure(value)
    return (
        f"<div><dt>{escape(words.name)}</dt><dd>{shown} <small>{escape(words.unit)}</small></dd>"
        f"<dd><small>{escape(words.hint)}</small></dd></div>"
    )


def _horizons(scores: Table) -> str:
    """PSNR so many frames on, beside that of the last known frame, copied."""
    if "horizons" not in scores:
        return ""
    ours, copies = scores["horizons"], scores["copy_last"]
    row: Callable[[str, Mapping[str, float]], str] = lambda name, table: (  # noqa: E731
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{figure(v)}</td>" for v in table.values())}</tr>'
    )
    heads = "".join(f'<th scope="col">{h}</th>' for h in ours)
    return (
        "<p>Closeness in dB to the frames that truly followed, where they were held out:</p>"
        f'<div class="scroll"><table><thead><tr><th scope="col">frames on</th>{heads}</tr></thead>'
        f"<tbody>{row('the model', ours)}{row('the last frame, copied', copies)}</tbody></table></div>"
    )
