"""Losses over a batch's score matrix, one a file, and the margin's schedule."""
