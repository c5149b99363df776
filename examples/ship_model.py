"""Write a model with weights of 16 bits, which halves its file.

python examples/ship_model.py IN.safetensors OUT.safetensors
"""

import sys
from pathlib import Path

from vidtrans.models.model_file import load_generator, save_model

generator, record = load_generator(Path(sys.argv[1]))
save_model(Path(sys.argv[2]), generator.half(), record)
