"""Runs in, comparison out: design, effects, verdicts, groups of tasks."""
