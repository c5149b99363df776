"""Display in notebooks: results as HTML, and the progress of a job."""
