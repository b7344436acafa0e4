"""Multi-task learning on surveillance video: which auxiliary tasks help, by how much, and how sure are we."""

from mtl import moved

moved.install()
