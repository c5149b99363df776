"""Read and write media files.

Read: ``container`` opens a file and describes its headers, ``decoder`` decodes and deinterlaces, ``reader`` makes
a clip of its frames, upright and in RGB (``video.colour``), ``timestamps`` repairs times;
``pictures`` makes a clip of pictures. ``clip`` holds their common types, ``policy`` reports unusual properties.
``sound`` reads samples.

Write: ``codecs`` is the table of encoders and containers, ``encoding`` the settings, ``encoder`` encodes chunks,
``join`` muxes them, ``stream_copy`` copies sound, subtitles, chapters and ``timecode``, ``gif`` writes GIFs.
``hardware`` decodes and encodes on a GPU.
"""
