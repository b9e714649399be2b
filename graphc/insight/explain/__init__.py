"""Reports: everything about one compilation as one HTML page that needs neither server nor network."""
