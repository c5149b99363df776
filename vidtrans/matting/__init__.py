"""Mattes of objects in a video: video object segmentation from one or a few painted frames.

A small network learns what the object looks like from the painted frames alone (after Khoreva et al., "Lucid Data
Dreaming for Video Object Segmentation", IJCV 2019), and corrects the matte that is warped from frame to frame.
"""
