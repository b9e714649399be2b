"""Preprocessing layers: image augmentation, which runs inside the compiled step, and encoding of features and text."""
