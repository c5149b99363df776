"""Training methods, one file each, registered in ``training.METHODS``."""
