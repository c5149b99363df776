"""Train a model of another program with that program's own options, data set, model and schedule, for a set CPU time.

    python -m benchmarks.unpaired.opponent_run ORDER.json

Runs in a process of its own, as the checkout's packages have names such as ``models`` and ``data``. The checkout is
used as it is, but for torchvision, of which it needs a few transforms of pictures: ``transforms_stub`` stands in for
them where it is not installed. The schedule of its 200 (CUT: 400) epochs is kept in shares of the time.
"""

from __future__ import annotations

import importlib
import inspect
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.unpaired.transforms_stub import install

MULTIPLE = 4  # both of the generator's halvings


def forever(dataset: Any) -> Iterator[Any]:
    """Yield the batches of one epoch after the other."""
    while True:
        yield from dataset


def prepare(order: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return the program's options, data set and model, as its train.py makes them."""
    sys.path.insert(0, order["checkout"])
    sys.argv = ["train.py", *order["arguments"]]
    install()
    options = importlib.import_module("options.train_options").TrainOptions().parse()
    options.amp = False  # the CycleGAN in a checkout of CUT asks for it, and no option of that one sets it
    dataset = importlib.import_module("data").create_dataset(options)
    model = importlib.import_module("models").create_model(options)
    return options, dataset, model


def train(order: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    """Train until the time is spent; return the model, and what it took."""
    options, dataset, model = prepare(order)
    epochs = options.n_epochs + options.n_epochs_decay
    if hasattr(dataset, "set_epoch"):
        dataset.set_epoch(1)
    batches, steps, epoch = forever(dataset), 0, 0
    began = time.process_time()
    # CUT makes its networks by the first pictures. The CycleGAN in its checkout takes none.
    initialise = getattr(model, "data_dependent_initialize", None)
    if initialise is not None and inspect.signature(initialise).parameters:
        initialise(next(batches))
    model.setup(options)
    while (share := (time.process_time() - began) / order["seconds"]) < 1:
        while epoch < int(share * epochs):
            model.update_learning_rate()
            epoch += 1
            if hasattr(dataset, "set_epoch"):
                dataset.set_epoch(epoch + 1)
        model.set_input(next(batches))
        model.optimize_parameters()
        steps += 1
    return model, {"steps": steps, "seconds": time.process_time() - began}


@torch.no_grad()
def paint(model: Any, pictures: list[np.ndarray]) -> list[np.ndarray]:
    """Paint pictures (H, W, 3) uint8 as the program's test.py does: without its eval mode."""
    network = model.netG_A if hasattr(model, "netG_A") else model.netG
    made = []
    for number, picture in enumerate(pictures):
        torch.manual_seed(number)  # of dropout, which pix2pix keeps
        height, width = picture.shape[:2]
        tall, wide = (-side % MULTIPLE for side in (height, width))
        padded = np.pad(picture, ((0, tall), (0, wide), (0, 0)), mode="edge")
        given = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 127.5 - 1
        painted = ((network(given)[0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        made.append(painted.permute(1, 2, 0).numpy()[:height, :width])
    return made


def main() -> None:
    order = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(order["threads"])
    random.seed(order["seed"])
    np.random.seed(order["seed"])  # the program draws from it
    torch.manual_seed(order["seed"])
    with np.load(order["inputs"]) as given:
        inputs = [given[name] for name in given.files]
    model, table = train(order)
    np.savez(order["outputs"], *paint(model, inputs))
    Path(order["table"]).write_text(json.dumps(table))


if __name__ == "__main__":
    main()
