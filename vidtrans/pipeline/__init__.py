"""One file for each command: check the request, find an existing result, run the job, report."""
