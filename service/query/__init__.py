"""`python -m service query`: a running service asked from the command line."""
