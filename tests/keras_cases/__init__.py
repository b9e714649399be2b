"""Random configurations of Keras's classes, run alike under Keras on JAX and under graphc.

`draw` makes the random choices; `layers`, `training` and `functions` hold one entry for each class, which draws a
configuration and inputs; `run` says what is done with one and what comes out; `keras_side` and `graphc_side` run it.
Adding a class is one entry in a table.
"""
