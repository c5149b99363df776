"""Many clips: inputs, scheduler, workers, summary."""
