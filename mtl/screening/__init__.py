"""Few sets of many auxiliaries in, prediction of all others out: design, surrogate, relevance, proposals."""
