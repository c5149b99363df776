"""Build the extension for Blender: ``python integrations/blender/build.py [FOLDER]`` writes a zip archive."""

from __future__ import annotations

import sys
import tomllib
import zipfile
from pathlib import Path

SOURCE = Path(__file__).parent / "vidtrans_blender"
KINDS = {".py", ".toml", ".json", ""}  # "" for LICENSE
TIME = (2026, 1, 1, 0, 0, 0)  # the same files give the same archive


def build(folder: Path) -> Path:
    manifest = tomllib.loads((SOURCE / "blender_manifest.toml").read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{manifest['id']}-{manifest['version']}.zip"
    part = archive.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(SOURCE.iterdir()):
            if path.is_file() and path.suffix in KINDS:
                about = zipfile.ZipInfo(path.name, TIME)
                about.compress_type, about.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                file.writestr(about, path.read_bytes())
    part.replace(archive)
    return archive


if __name__ == "__main__":
    sys.stdout.write(f"{build(Path(sys.argv[1] if len(sys.argv) > 1 else 'dist'))}\n")
