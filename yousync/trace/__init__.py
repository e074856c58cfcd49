"""`yousync trace JOB`: everything that happened to a job, read from the services' databases and the broker."""
