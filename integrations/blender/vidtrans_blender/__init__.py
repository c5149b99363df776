"""Vidtrans in Blender: styles strips of the sequencer and passes of a scene, in the background.

The add-on starts the ``vidtrans`` program and reads its progress from files; it does not import vidtrans. The modules
``programs``, ``options``, ``media_parts``, ``movie_padding``, ``job_files`` and ``jobs`` do not import Blender either:
tests run them without it.
"""

from __future__ import annotations

try:
    import bpy
except ImportError:  # tests of the modules that do not need it
    bpy = None


class UserError(Exception):
    """A mistake or an obstacle that a person can act on, in one line: what is wrong — what to do."""


if bpy is not None:
    from . import monitor, panels, properties

    def register() -> None:
        properties.register()
        for cls in panels.CLASSES:
            bpy.utils.register_class(cls)
        monitor.register()

    def unregister() -> None:
        """Remove all of it; jobs that run go on."""
        monitor.unregister()
        for cls in reversed(panels.CLASSES):
            bpy.utils.unregister_class(cls)
        properties.unregister()
