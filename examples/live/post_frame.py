"""Send one picture to a running ``vidtrans live``, and write the painted one.

    vidtrans live --model flower                                    # prints the LINK
    python examples/live/post_frame.py LINK photo.jpg -o painted.png
    python examples/live/post_frame.py LINK lines.png -o painted.jpg --kind drawing

This needs the standard library only.
"""

from __future__ import annotations

import argparse
import mimetypes
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


def post(link: str, picture: Path, accept: str, kind: str) -> bytes:
    """Return the painted picture of a file. Raises urllib.error.URLError."""
    parts = urlsplit(link)
    token = parse_qs(parts.query)["token"][0]
    headers = {
        "authorization": f"Bearer {token}",
        "content-type": mimetypes.guess_type(picture.name)[0] or "",  # image/jpeg, image/png or image/webp
        "accept": accept,
    }
    address = f"{parts.scheme}://{parts.netloc}/frame?kind={kind}"
    request = urllib.request.Request(address, picture.read_bytes(), headers)
    with urllib.request.urlopen(request, timeout=130) as answer:
        return bytes(answer.read())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("link", help="what vidtrans live has printed, with its token")
    parser.add_argument("picture", type=Path, help="a .jpg, .png or .webp file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .jpg or .png file")
    parser.add_argument("--kind", choices=("picture", "drawing"), default="picture", help="drawing: the model's input")
    flags = parser.parse_args()
    accept = "image/png" if flags.output.suffix.lower() == ".png" else "image/jpeg"
    try:
        flags.output.write_bytes(post(flags.link, flags.picture, accept, flags.kind))
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.code}: {error.read().decode().strip()}")
    except OSError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
