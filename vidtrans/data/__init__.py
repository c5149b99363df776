"""The dataset of a training: a folder whose pictures a person can view and delete."""
