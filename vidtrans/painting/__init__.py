"""Painted key frames: which frames to paint, and how paint gets from them to all others.

Between painted frames paint is carried along the motion, where that can be believed; a network that learned the
painted frames paints the rest. Nothing passes a cut.
"""
