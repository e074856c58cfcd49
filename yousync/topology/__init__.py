"""`yousync topology`: the queues, exchanges and bindings that the code declares, against those that a broker has."""
