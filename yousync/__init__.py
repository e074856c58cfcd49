"""YouSync on one machine: the command line, the embedded platform and the private servers it starts."""
