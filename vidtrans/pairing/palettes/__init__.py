"""The colours of classes in label maps: palettes that ship, palette files, and colours found in pictures."""
