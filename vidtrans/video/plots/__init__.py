"""Charts, labelled layouts of pictures, and HTML pages."""
