"""What notebooks show: results as HTML, and the progress of a job."""
