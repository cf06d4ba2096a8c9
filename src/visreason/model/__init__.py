"""Models: loading, encoding, the forest, its attention, log-probabilities, saving."""
