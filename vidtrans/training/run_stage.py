"""The cache stage of a training run: all that decides which bytes it makes."""

from __future__ import annotations

import torch

from vidtrans.core.registry import Entry, Registry
from vidtrans.core.settings import Table, to_table
from vidtrans.models.model_file import both_ways
from vidtrans.models.model_record import Card
from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.networks.init import complete_settings
from vidtrans.pairing.pairing_records import pairing_record
from vidtrans.store.stages import TrainStage, libraries
from vidtrans.training import LOSSES, plugins_in_use
from vidtrans.training.set_up import TrainingSetup

CUDA_STEP_VERSION = 2  # of what a GPU computes beside the networks: augmentation, and the learning rate's rounding


def run_stage(setup: TrainingSetup, total: int, dataset: str, fresh: bool, exact: list[str]) -> TrainStage:
    """Return the stage of a run. ``dataset``: the dataset's digest; ``exact``: operators to compute in fp32."""
    settings, digest = setup.settings, setup.context.cache.digest
    # The steps have a field of their own; the precision is in the engine, resolved.
    table = {k: v for k, v in settings.for_key().items() if k not in ("steps", "precision")}
    engine: Table = {"device": setup.device.kind, "precision": setup.precision}
    engine |= {"threads": setup.threads, "world_size": setup.dist.size}
    if exact:
        engine["exact"] = exact
    if setup.device.kind == "cuda":
        engine["step"] = CUDA_STEP_VERSION
    return TrainStage(
        dataset=dataset,
        pairing=pairing_record(setup.pairing),
        generator=_network(GENERATORS, setup.generator_name, setup.generator_table, "generator"),
        discriminator=_network(DISCRIMINATORS, setup.discriminator_name, setup.discriminator_table, "discriminator"),
        settings=table,
        seed=setup.context.seed,
        start=" ".join(map(digest, both_ways(setup.start))) if setup.start else "",
        engine=engine | _identities(setup) | plugins_in_use(settings.loss_weights, settings.method),
        libraries={"torch": torch.__version__.partition("+")[0]}
        | libraries("opencv-python-headless")
        | settings.rollout_version,
        steps=total,
        fresh=fresh,
        card=to_table(setup.recipe.settings("card", Card)),
    )


def _identities(setup: TrainingSetup) -> Table:
    """Return identifiers of external inputs by loss and method. Raises UsageError if a file is missing."""
    names = {name: LOSSES.load(name) for name in setup.settings.loss_weights} | {"method": setup.method}
    return {name: found for name, cls in names.items() if (found := cls.identity(setup.settings))}


def _network(registry: Registry[Entry], name: str, table: Table, kind: str) -> Table:
    return {"name": name, "settings": complete_settings(registry, name, table, kind)} | registry.origin(name)
