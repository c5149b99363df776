"""The dataset: a folder whose pictures a person can view and delete."""
