"""Painted key frames: choose the frames of a clip to paint, and transfer the paint to all other frames.

Between painted frames the paint follows the optical flow where it is reliable; a network trained on the painted frames
paints the rest. Nothing is transferred across a cut.
"""
