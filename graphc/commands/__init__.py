"""The commands of `python -m graphc`: each is a function of the parsed arguments that writes to stdout."""
