"""Write the schemas and media of the installed vidtrans into the add-on, for a panel where no program is found.

Run it before a release: ``python integrations/blender/make_interface.py [PROGRAM]``; ``--check`` only compares.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from vidtrans_blender.options import BUNDLED
from vidtrans_blender.programs import ask_interface, find_program


def main() -> None:
    """Write or check the file."""
    arguments = [one for one in sys.argv[1:] if one != "--check"]
    text = json.dumps(ask_interface(find_program(*arguments)), indent=1, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv:
        BUNDLED.write_text(text, encoding="utf-8")
    elif text != BUNDLED.read_text(encoding="utf-8"):
        sys.exit(f"{BUNDLED.name} is not up to date: run {Path(__file__).name}")


if __name__ == "__main__":
    main()
