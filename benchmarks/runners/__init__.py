"""One module per system; each has a class `Runner` (see `benchmarks.job.Runner`)."""
