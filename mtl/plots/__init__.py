"""Numbers -> figures: readable in grey, labelled, without any state of matplotlib's own."""
