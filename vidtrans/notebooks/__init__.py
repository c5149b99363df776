"""Display in notebooks (Jupyter): results as HTML, and the progress of a job."""
