"""Painters: pictures are painted in strokes that live through the film.

Each stroke is carried along the source's motion, and takes on the colour and the direction of the place that it lies
on. It fades in where the canvas is bare, and out where it is hidden or no longer wanted; nothing is painted anew for
each frame, so nothing boils. A *medium* (oil, pencil, mosaic) is a TOML file: see ``media``.

After Litwinowicz, "Processing images and video for an impressionist effect" (SIGGRAPH 1997), Hertzmann, "Painterly
rendering with curved brush strokes of multiple sizes" (SIGGRAPH 1998), and Hays and Essa, "Image and video based
painterly animation" (NPAR 2004).
"""
