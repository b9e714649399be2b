"""The smallest program for every user-facing error, by family."""
