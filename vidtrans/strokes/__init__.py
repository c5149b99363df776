"""Stroke-based rendering: paint each frame of a clip in brush strokes that persist from frame to frame.

Each stroke moves along the source's optical flow, and takes on the colour and the direction at its position. It fades
in where the canvas is bare, and out where it is hidden or has no place any more. No frame is painted from scratch, so
nothing boils. A *medium* (oil, pencil, mosaic) is a TOML file: see ``media``.

After Litwinowicz, "Processing images and video for an impressionist effect" (SIGGRAPH 1997), Hertzmann, "Painterly
rendering with curved brush strokes of multiple sizes" (SIGGRAPH 1998), and Hays and Essa, "Image and video based
painterly animation" (NPAR 2004).
"""
