"""Attention: what a query looks for among keys is what it gets of the values."""
