"""Statistics on plain arrays: pairwise counts, bootstrap, correlation, significance."""
