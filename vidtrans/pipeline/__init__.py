"""The stages of a render: each owns its options, its version for the cache, and its work on pictures.

``render`` lists them in order; ``settings`` joins their options to the table [rendering] of a recipe.
"""
