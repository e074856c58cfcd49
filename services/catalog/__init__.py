"""What can be practised: scenes (tokens), their lines (scripts), the words of a line, actors and where the films are."""
