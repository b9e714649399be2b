"""Looking into compilations: reports, comparisons, checks, measurements. Import the module that is wanted."""
