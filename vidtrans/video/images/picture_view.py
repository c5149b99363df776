"""What is read of picture files: a layer of OpenEXR, and the span of values from black to white."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from vidtrans.core.errors import MediaError

HOW_TO_FIX = "give a range of values behind its name, as in 'depth#=0..80'"
_SLACK = 1e-3
Span = tuple[float, float]


@dataclass(frozen=True)
class PictureView:
    """The choice of a ``layer`` ('': the picture), and of a ``span`` of values, black to white.

    Written as LAYER=LOW..HIGH, LAYER, or =LOW..HIGH. Only OpenEXR has layers, which are read as data if there is a
    span; of other pictures it replaces the range of their samples' format.
    """

    layer: str = ""
    span: Span | None = None

    @classmethod
    def parse(cls, text: str, path: Path) -> PictureView:
        """Parse the text of a view; ``path``: the file, for the message. Raises MediaError."""
        layer, equals, span = text.partition("=")
        if not equals:
            return cls(layer)
        try:
            low, high = map(float, span.split(".."))
        except ValueError:
            low = high = math.nan
        if not -math.inf < low < high < math.inf:
            raise MediaError(str(path), f"'{span}' is not a range of values", "write it as LOW..HIGH: 0.5..80")
        return cls(layer, (low, high))

    def __str__(self) -> str:
        return self.layer + (f"={self.span[0]:.7g}..{self.span[1]:.7g}" if self.span else "")


PICTURE = PictureView()


def whole_span(low: float, high: float) -> Span:
    """Return the span to show data from ``low`` to ``high``: 0 to 1 or −1 to 1 if they lie in it, else their own."""
    for span in ((0.0, 1.0), (-1.0, 1.0)):
        if span[0] - _SLACK <= low and high <= span[1] + _SLACK:
            return span
    return (low, high) if low < high else (low, low + 1)
