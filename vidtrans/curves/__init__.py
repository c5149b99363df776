"""Curves, which are values that change over time: their text form, their signals, and their evaluation for each frame.

A control is a number, an expression, key frames with easings, or a file of values; ``curve`` parses and evaluates it.
The names of expressions stand for time, for the sound (``hearing``) and for the picture; ``tracks`` gives them values.
"""
