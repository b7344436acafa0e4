"""A finished run on videos and streams of one's own: scores per frame, curves, and a page."""
