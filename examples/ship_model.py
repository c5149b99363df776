"""Write a model with weights of 8 bits (biases and norms: of 16), a quarter of its file.

python examples/ship_model.py IN.safetensors OUT.safetensors ["what it is, for its card"]

OUT may be IN. The networks of looks at once, which have no record, are written in the same way.
"""

import sys
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file, save_file

from vidtrans.models.formats import STYLE_PREDICTION, cpu_weights, to_8_bits, weights_digest
from vidtrans.models.model_file import load_generator
from vidtrans.models.native_format import METADATA_KEY

source, output = map(Path, sys.argv[1:3])
notes = "".join(sys.argv[3:])
if source.name == STYLE_PREDICTION.name:
    stored = load_file(source)
    tuned = {name: values for name, values in stored.items() if not name.startswith("predict.")}
    if not any(name.endswith(".step") for name in tuned):
        stored |= to_8_bits(tuned)
    save_file(stored, output)
else:
    generator, record = load_generator(source)
    weights = to_8_bits(cpu_weights(generator))
    record = replace(record, weights=weights_digest(weights))
    if notes:
        record = replace(record, card={"author": "vidtrans", "licence": "CC0-1.0", "notes": notes})
    save_file(weights, output, metadata={METADATA_KEY: record.to_json()})
