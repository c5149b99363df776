"""Read and write media files.

Read: ``container`` opens a file and describes its headers, ``reader`` makes a clip of its frames, upright and in RGB
(``video.colour``), ``timestamps`` repairs times; ``pictures`` makes a clip of pictures. ``clip`` holds their common
types, ``policy`` reports unusual properties. ``sound`` reads samples.

Write: ``encoding`` has the table of codecs and the settings, ``encoder`` encodes chunks, pictures and GIFs, ``join``
muxes chunks, and copies sound, subtitles, chapters and timecode.
"""
