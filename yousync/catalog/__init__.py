"""`yousync catalog`: bring a catalogue in, take it out, make scenes of what studios have."""
