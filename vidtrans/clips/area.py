"""An area of a picture, as ``--crop`` gives it."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.errors import UsageError

SMALLEST = 16  # pixels a side


@dataclass(frozen=True)
class Area:
    """A rectangle in pixels, from the top left corner of a picture."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> Area:
        """Return the area of a text 'X,Y,WIDTH,HEIGHT'. Raises UsageError."""
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts):
            remedy = "give four whole numbers of pixels, such as 100,50,400,300"
            raise UsageError(f"--crop {text}", "it is not X,Y,WIDTH,HEIGHT", remedy)
        found = cls(*map(int, parts))
        if min(found.width, found.height) < SMALLEST:
            raise UsageError(f"--crop {text}", "it is too small for strokes", f"give at least {SMALLEST}x{SMALLEST}")
        return found

    def within(self, name: str, width: int, height: int) -> tuple[slice, slice]:
        """Return the rows and columns of the area in a picture, or a clip. Raises UsageError if it is not inside."""
        if self.x + self.width > width or self.y + self.height > height:
            what = f"--crop {self.x},{self.y},{self.width},{self.height}"
            raise UsageError(what, f"{name} has {width}x{height} pixels", "give an area inside")
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)
