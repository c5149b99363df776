"""The stages of a render: each defines its options, its version for the cache, and its work on pictures.

The module ``render`` lists the stages in order, and joins their options to the table [rendering] of a recipe.
"""
