"""Write the schemas and looks of the installed vidtrans into the add-on, for a panel where no program is found.

Run it before a release: ``python integrations/blender/make_interface.py [PROGRAM]``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from vidtrans_blender.options import BUNDLED
from vidtrans_blender.programs import ask_interface, find_program

if __name__ == "__main__":
    interface = ask_interface(find_program(*sys.argv[1:]))
    BUNDLED.write_text(json.dumps(interface, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
