"""Charts and labelled layouts of pictures."""
