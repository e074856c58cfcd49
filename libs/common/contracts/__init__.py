"""Every event and report that crosses a service boundary, declared once, by its producer."""
