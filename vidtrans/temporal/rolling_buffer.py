"""A buffer of tensors for the last frames of a shot, in one block of memory, read and written without copies."""

from __future__ import annotations

import torch


class RollingBuffer:
    """Tensors of one shape for the frames ``first`` … ``stop`` − 1 of a shot; earlier frames were dropped."""

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float32, device: torch.device) -> None:
        self.first = self.stop = 0
        self.shape, self.device = shape, device
        self._offset = 0  # of the first frame in the memory
        self._memory = torch.empty((0, *shape), dtype=dtype, device=device)

    def reserve(self, count: int) -> torch.Tensor:
        """Return memory for the next frames, (count, …); call ``commit`` after writing to it."""
        length = self.stop - self.first
        if self._offset + length + count > len(self._memory):
            self._move(max(len(self._memory), length + count))
        start = self._offset + length
        return self._memory[start : start + count]

    def commit(self, count: int) -> None:
        """Add the frames written to the memory from ``reserve``."""
        self.stop += count

    def append(self, frames: torch.Tensor) -> None:
        """Copy frames from other memory into the buffer."""
        self.reserve(len(frames)).copy_(frames)
        self.commit(len(frames))

    def __getitem__(self, frames: slice) -> torch.Tensor:
        """Return a view of the frames of a range with a start and a stop."""
        if not self.first <= frames.start <= frames.stop <= self.stop:
            raise IndexError(f"frames {frames.start} to {frames.stop} of {self.first} to {self.stop}")
        shift = self._offset - self.first
        return self._memory[frames.start + shift : frames.stop + shift]

    def drop(self, before: int) -> None:
        """Drop the frames before frame ``before``."""
        count = min(max(0, before - self.first), self.stop - self.first)
        self.first += count
        self._offset += count

    def trim(self) -> None:
        """Free the unused memory."""
        self._move(self.stop - self.first)

    def _move(self, capacity: int) -> None:
        """Move the frames to the start of a block of memory for ``capacity`` frames."""
        frames = self._memory[self._offset : self._offset + self.stop - self.first]
        if capacity != len(self._memory):
            moved = frames.new_empty((capacity, *frames.shape[1:]))
            self._memory, frames = moved, moved[: len(frames)].copy_(frames)
        elif self._offset >= len(frames):
            self._memory[: len(frames)] = frames
        else:
            self._memory[: len(frames)] = frames.clone()  # source and target overlap
        self._offset = 0
