"""Tensors of the last frames of a shot, in one piece of memory that is written and read without copies."""

from __future__ import annotations

import torch


class RollingBuffer:
    """Tensors of one shape for the frames ``first`` … ``stop`` − 1 of a shot; earlier ones were dropped."""

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float32, device: torch.device) -> None:
        self.first = self.stop = 0
        self.shape, self.device = shape, device
        self._offset = 0  # of the first frame in the memory
        self._memory = torch.empty((0, *shape), dtype=dtype, device=device)

    def reserve(self, count: int) -> torch.Tensor:
        """Return room for the next frames, (count, …); ``commit`` adds them when they are written."""
        kept = self.stop - self.first
        if self._offset + kept + count > len(self._memory):
            self._move(max(len(self._memory), kept + count))
        start = self._offset + kept
        return self._memory[start : start + count]

    def commit(self, count: int) -> None:
        """Add frames that were written to what ``reserve`` returned."""
        self.stop += count

    def append(self, frames: torch.Tensor) -> None:
        """Add frames that lie elsewhere."""
        self.reserve(len(frames)).copy_(frames)
        self.commit(len(frames))

    def __getitem__(self, frames: slice) -> torch.Tensor:
        """Return the frames of a range that has a start and a stop, as a view."""
        if not self.first <= frames.start <= frames.stop <= self.stop:
            raise IndexError(f"frames {frames.start} to {frames.stop} of {self.first} to {self.stop}")
        shift = self._offset - self.first
        return self._memory[frames.start + shift : frames.stop + shift]

    def drop(self, before: int) -> None:
        """Forget the frames before one."""
        count = min(max(0, before - self.first), self.stop - self.first)
        self.first += count
        self._offset += count

    def trim(self) -> None:
        """Give back the memory that no frame is in."""
        self._move(self.stop - self.first)

    def _move(self, capacity: int) -> None:
        """Move the frames to the beginning, in memory for ``capacity`` of them."""
        kept = self._memory[self._offset : self._offset + self.stop - self.first]
        if capacity != len(self._memory):
            moved = kept.new_empty((capacity, *kept.shape[1:]))
            self._memory, kept = moved, moved[: len(kept)].copy_(kept)
        elif self._offset >= len(kept):
            self._memory[: len(kept)] = kept
        else:
            self._memory[: len(kept)] = kept.clone()  # it overlaps with where it goes
        self._offset = 0
