"""Media to vectors, vectors to an index; states both contracts on disk."""
