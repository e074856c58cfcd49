"""What every HTTP app has: factory, problem details, health, metrics, request logs, the token check, the server loop."""
