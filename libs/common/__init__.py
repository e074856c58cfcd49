"""The machinery that every service shares: contracts, bus, outbox and inbox, database, storage, web, auth check, settings."""
