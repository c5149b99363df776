"""Vidtrans in Blender: styles strips of the sequencer and passes of a scene, in the background.

The add-on starts the ``vidtrans`` program and reads its progress from files; it does not import vidtrans. The modules
``faults``, ``programs``, ``schemas``, ``command_lines``, ``media_parts``, ``retiming``, ``held_movies``, ``places``,
``job_files``, ``job_seals`` and ``jobs`` do not import Blender either: tests run them without it.
"""

from __future__ import annotations

try:
    import bpy
except ImportError:  # tests of the modules that do not need it
    bpy = None

if bpy is not None:
    from . import monitor, operators, panels, preferences, properties

    CLASSES = (preferences.VidtransPreferences, *operators.CLASSES, *panels.CLASSES)

    def register() -> None:
        """Add the panels, the buttons, the properties, and the watch over jobs."""
        for cls in CLASSES:
            bpy.utils.register_class(cls)
        properties.register()
        monitor.register()

    def unregister() -> None:
        """Remove all of it; jobs that run go on."""
        monitor.unregister()
        properties.unregister()
        for cls in reversed(CLASSES):
            bpy.utils.unregister_class(cls)
