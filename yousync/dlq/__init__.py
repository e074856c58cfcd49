"""`yousync dlq`: what nobody will retry by itself, for a person to look at, send back or throw away."""
