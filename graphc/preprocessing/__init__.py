"""`keras.preprocessing`: what is left of it."""
