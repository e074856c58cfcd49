"""State and its event commit together: the outbox table, its writer, and the relay that publishes what was committed."""
