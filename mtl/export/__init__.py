"""A finished run as a model for other programs."""
