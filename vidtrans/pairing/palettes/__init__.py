"""Colours of classes, in label maps: those that are known, those of a file, and how they are told apart."""
