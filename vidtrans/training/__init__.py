"""Teaching a look: pix2pix on pairs, with exact resume.

An adversarial objective is a class with two static methods on logits of any shape: ``discriminator(on_fake,
on_real)`` is what D minimises, ``generator(on_fake)`` what G minimises; both are means and give a scalar.
``balance`` is D's loss where it cannot tell one from the other.
"""

from __future__ import annotations

from vidtrans.registry import Entry, Registry

ADVERSARIAL = Registry(
    "adversarial objective",
    {
        "bce": Entry("vidtrans.training.losses.terms:CrossEntropy", "real or not, as a probability: the paper's"),
        "least-squares": Entry("vidtrans.training.losses.terms:LeastSquares", "LSGAN: steadier, never saturates"),
        "hinge": Entry("vidtrans.training.losses.terms:Hinge", "SPADE's: D stops at a margin"),
    },
)
