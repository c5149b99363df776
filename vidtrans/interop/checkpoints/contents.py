"""Say what a checkpoint is that holds no generator which can be used."""

from __future__ import annotations

from vidtrans.interop.checkpoints.pickle_machine import more_than_tensors
from vidtrans.interop.checkpoints.pickle_values import Opaque
from vidtrans.interop.checkpoints.torch_file import StoredTensor

OPTIMISER = {"param_groups", "state"}
STATE = "save the generator's state_dict() alone"


def what_it_is(value: object, needs: list[str]) -> tuple[str, str] | None:
    """Return why a checkpoint cannot be used, and what to do; None for tensors that are of no known kind."""
    if isinstance(value, dict):
        if set(value) >= OPTIMISER:
            return "it is the state of an optimiser, not a network", "give the generator's file"
        if is_training(value):
            return "it is a training checkpoint, with the states of optimisers", STATE
    if needs:
        if isinstance(value, dict):
            return more_than_tensors(needs), STATE
        made_by = value.made_by if isinstance(value, Opaque) else needs[-1]
        return f"it is a pickled Python object that needs {made_by[:100]}, which is never run", STATE
    if not isinstance(value, dict):
        return "it holds no tensors by name", STATE
    names = [name for name, one in value.items() if isinstance(one, StoredTensor)]
    if not names:
        return "it holds no tensors by name", STATE
    if said := _other_network({str(name): value[name].shape for name in names}):
        return said, "give the generator's file (…_net_G.pth)"
    return None


def is_training(value: object) -> bool:
    """Return whether a checkpoint holds what a training needs to go on."""
    return isinstance(value, dict) and any(isinstance(name, str) and "optim" in name.lower() for name in value)


def _other_network(shapes: dict[str, tuple[int, ...]]) -> str:
    """Return what another network of these tools is called; '' for one that is not known."""
    plain = {name.removeprefix("module."): shape for name, shape in shapes.items()}
    if _is_discriminator(plain):
        return "it is a discriminator, which judges pictures and makes none"
    if all(name.startswith(("mlp_",)) for name in plain):
        return "it is CUT's projection of features (netF), which makes no pictures"
    return ""


def _is_discriminator(shapes: dict[str, tuple[int, ...]]) -> bool:
    """Return whether a network ends in a single channel of logits behind 4×4 convolutions, as PatchGANs do."""
    if any(name.startswith(("scale0", "discriminator_0", "layer0")) for name in shapes):
        return True
    convolutions = [shape for name, shape in shapes.items() if name.endswith("weight") and len(shape) == 4]
    ends_in_one = bool(convolutions) and convolutions[-1][0] == 1
    return ends_in_one and all(shape[2:] in ((4, 4), (1, 1), (3, 3), (2, 2)) for shape in convolutions)
