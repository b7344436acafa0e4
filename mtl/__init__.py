"""Multi-task learning on surveillance frames: which auxiliary tasks help, and how sure are we."""
