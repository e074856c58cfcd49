"""Takes, analysis jobs and their results: the room that owns a recording from its first byte to its score."""
