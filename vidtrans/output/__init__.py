"""Where results go: names, delivery, assembling."""
