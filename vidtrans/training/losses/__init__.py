"""Loss functions of the generator and of the discriminators."""
