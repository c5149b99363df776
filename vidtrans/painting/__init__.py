"""Painted key frames: which frames to paint, and how to transfer the paint to all other frames.

Between painted frames the paint follows the motion (optical flow) where the flow is reliable; a network trained on the
painted frames paints the rest. Nothing is transferred across a cut.
"""
