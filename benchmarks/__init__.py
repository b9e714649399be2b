"""graphc and its peers side by side: one definition per workload, one process per system, systems taking turns."""
