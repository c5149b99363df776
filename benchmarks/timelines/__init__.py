"""A timeline before and after its clips were rendered, as a picture."""
