"""Values that change over time: one language for every setting or control that may move.

A control is a number, an expression, key frames with easings, or a file of values; ``curve`` parses and evaluates it.
The names of expressions stand for time, for the sound (``hearing``) and for the picture; ``tracks`` gives them values.
"""
