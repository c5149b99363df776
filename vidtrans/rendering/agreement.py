"""What all who render parts of one result must have in common, so that it is the same whoever renders which part."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from importlib.metadata import version

from vidtrans.errors import UsageError
from vidtrans.inference.engine import Engine
from vidtrans.rendering.render_job import RenderJob
from vidtrans.settings import Table
from vidtrans.store.stages import PartsStage, media_libraries

REMEDIES = {
    "threads": "give all workers as many: OMP_NUM_THREADS={there}",
    "source": "give all workers the same file",
    "model": "give all workers the same file",
    "options": "give all workers the same options",
    "device": "render one clip on one kind of device",
    "processor": "render one clip on one kind of processor",
}


@dataclass(frozen=True)
class Agreement:
    """The terms of whoever began to render a result, under the name of that."""

    job: RenderJob
    engine: Engine
    request: str
    output: str

    def terms(self) -> dict[str, str]:
        """Return what decides each byte of a part."""
        plan, identity = self.job.plan, {key: str(value) for key, value in self.engine.identity.items()}
        return {
            "vidtrans": version("vidtrans"),
            **media_libraries(),
            **identity,
            "processor": _processor(identity.get("device", "cpu")),
            "source": plan.clip.digest,
            "model": str(plan.model.for_key()),
            "options": self.request,
        }

    def join(self) -> None:
        """Agree to the terms on record; where there are none, put these there.

        Raises:
            UsageError: where they differ: with --overwrite these replace them.
        """
        context, own = self.job.context, self.terms()
        entry = context.cache.entry(self._stage.name, self._stage.key)
        with entry.locked(wait_for=f"another run that begins to render {self.output}"):
            known: Table | None = entry.read()
            if known is None or context.overwrite:
                entry.finish({"terms": own, "host": socket.gethostname()})
                return
        differing = [key for key in (*own, *known["terms"]) if own.get(key) != known["terms"].get(key)]
        if differing:
            raise self._refusal(differing[0], own, known)

    def end(self) -> None:
        """Forget the terms: the result is made."""
        self.job.context.cache.entry(self._stage.name, self._stage.key).delete()

    def _refusal(self, key: str, own: dict[str, str], known: Table) -> UsageError:
        here, there = own.get(key, "none"), known["terms"].get(key, "none")
        if key in ("source", "model", "options"):
            why = f"{known['host']} began to render it with {'other options' if key == 'options' else f'another {key}'}"
        else:
            why = (
                f"{known['host']} began to render it with {key} {there}, and here it is {here}: the parts would differ"
            )
        remedy = REMEDIES.get(key, f"install {key} {there}").format(there=there)
        return UsageError(self.output, why, f"{remedy}, or begin anew with --overwrite")

    @property
    def _stage(self) -> PartsStage:
        # Relative to the cache's folder: hosts may have it in different places.
        place = os.path.relpath(os.path.realpath(self.output), self.job.context.cache.root.resolve().parent)
        return PartsStage(place)


def _processor(device: str) -> str:
    """Return what of the hardware decides how sums are rounded."""
    import torch

    if device == "cuda":
        return str(torch.cuda.get_device_name())
    return str(torch.backends.cpu.get_cpu_capability()) if device == "cpu" else device
