"""Recurrent layers: a cell computes one step, `RNN` runs it over the steps of a sequence in one native loop."""
