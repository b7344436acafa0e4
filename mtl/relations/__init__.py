"""Measures between every two tasks, one file per kind: a trace in, a matrix out."""
