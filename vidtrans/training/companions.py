"""Models that a run writes beside its model: the translator back, and the colour map of two domains."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from vidtrans.core.files import write_atomically
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.models.model_file import COLOURS, SUFFIX, save_model
from vidtrans.models.model_record import ModelRecord
from vidtrans.training.methods.base import TrainingMethod
from vidtrans.training.training_job import TrainingJob

BEST = "best."  # begins the names of what is kept of the best state


def companion_file(name: str) -> str:
    """Return the name of a companion's file in the run's folder."""
    return f"{name}{SUFFIX}"


@dataclass(frozen=True)
class Companions:
    """Those of a run in ``folder``. ``finalise`` makes a network ready to be rendered, by pictures that it takes."""

    folder: Path
    job: TrainingJob
    method: TrainingMethod
    finalise: Callable[[nn.Module, Sequence[Pair]], nn.Module]

    @property
    def names(self) -> list[str]:
        """Return what the files' names end in."""
        return [*self.method.learned_more, *([COLOURS] if self.job.colours else [])]

    def save_best(self, record: ModelRecord) -> None:
        """Keep those of the best state so far; ``record`` is that of the model."""
        self._save(record, BEST)

    def deliver(self, record: ModelRecord, *, of_best: bool) -> list[str]:
        """Write those of the current state, or of the best one, and return their names."""
        if self.job.colours:
            self.job.colours.forth.save(self.folder / companion_file(COLOURS))
        if not of_best:
            self._save(record)
            return self.names
        for name in self.method.learned_more:
            with write_atomically(self.folder / companion_file(name)) as temporary:
                shutil.copyfile(self.folder / (BEST + companion_file(name)), temporary)
        return self.names

    def _save(self, record: ModelRecord, prefix: str = "") -> None:
        others = self.job.dataset.targets("train")
        for name, network in self.method.learned_more.items():
            path = self.folder / (prefix + companion_file(name))
            save_model(path, self.finalise(network, others), replace(record, pairing=_back(record.pairing)))


def _back(pairing: Table) -> Table:
    """Return the record of a pairing of domains in the other direction."""
    return pairing | {"settings": {**pairing["settings"], "domains": pairing["settings"]["domains"][::-1]}}
