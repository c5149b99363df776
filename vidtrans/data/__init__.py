"""The dataset: a folder that a person can look through and prune."""
