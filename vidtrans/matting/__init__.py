"""Mattes: one thing of a clip, from one or a few painted frames, followed through the clip.

A small network learns what the thing looks like from the painted frames alone (after Khoreva et al., "Lucid Data
Dreaming for Video Object Segmentation", IJCV 2019), and corrects the matte that the motion carries from frame to frame.
"""
