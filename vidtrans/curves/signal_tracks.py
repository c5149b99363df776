"""The values of signals at given times, from tracks that a subclass knows, from calls and from files of values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np

from vidtrans.curves.curve import file_of
from vidtrans.curves.data_columns import DataColumns
from vidtrans.curves.data_files import read_data
from vidtrans.curves.signals import Signal
from vidtrans.curves.tracks import Track, of_call


class SignalTracks:
    """Gives signals their values. ``seconds_of``: returns the times of frames, by number; each file is read once."""

    def __init__(self, seconds_of: Callable[[np.ndarray], np.ndarray]) -> None:
        self._seconds_of = seconds_of
        self._files: dict[str, DataColumns] = {}

    def values(self, signals: Collection[Signal], times: np.ndarray) -> Mapping[Signal, np.ndarray]:
        """Return the value of each signal at ``times``, (n,), in s. Raises UsageError, MediaError."""
        self.prepare({signal.source for signal in signals})
        return {signal: self._track(signal)(times) for signal in signals}

    def prepare(self, roots: Collection[Signal]) -> None:
        """Get ready for signals that take no other; called before their tracks. Raises UsageError, MediaError."""
        raise NotImplementedError

    def root(self, signal: Signal) -> Track:
        """Return a signal that takes no other, and is in no file, as a function of time. Raises UsageError."""
        raise NotImplementedError

    def _track(self, signal: Signal) -> Track:
        if signal.inner is not None:
            return of_call(signal, self._track(signal.inner))
        if not signal.file:
            return self.root(signal)
        name, column = file_of(signal.file)
        if name not in self._files:
            self._files[name] = read_data(Path(name))
        return self._files[name].track(column, self._seconds_of)
