"""Weights of the losses: a base and one file per method."""
