"""Read and write media files.

Read: ``container`` opens a file and describes its headers, ``decoder`` decodes and deinterlaces, ``frame_conversion``
converts frames to upright RGB (with ``video.colour``), ``timestamps`` repairs times. ``reader`` reads a video as a
clip, ``pictures`` pictures as a clip; ``clip`` holds their common types, ``policy`` reports unusual properties.
``sound`` reads samples.

Write: ``codecs`` is the table of encoders and containers, ``encoding`` the settings, ``encoder`` encodes chunks,
``join`` muxes them, ``stream_copy`` copies sound, subtitles, chapters and ``timecode``, ``gif`` writes GIFs.
``hardware`` decodes and encodes on a GPU.
"""
