"""A model rendered onto clips: one, several, a part of one, here, on other machines, or as a job for a farm."""
