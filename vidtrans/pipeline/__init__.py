"""The stages of a render: each defines its options, its version for the cache, and its work on pictures.

``render`` lists them in order, and joins their options to the table [rendering] of a recipe.
"""
