"""Where the time of a run went, beside what this machine could do at best."""
