"""``vidtrans live``: apply models to a camera, a drawing or another live source, on a page in the browser.

Frames arrive over a WebSocket (``protocol``) from the page or from another program. One thread owns the models
(``stage_worker``) and paints the newest frame; the hub sends each picture to all connections. Frames are not queued: a
frame that a newer one replaces before it is painted is acknowledged as dropped.
"""

from __future__ import annotations

MAX_OUTPUT_SIDE_PX = 2160  # Largest short side of delivered pictures, in pixels
