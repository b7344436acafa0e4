"""Tables, page and figures of a sweep, from tracked runs alone."""
