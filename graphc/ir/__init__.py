"""The ground: what a graph is (types, nodes, graphs, builder), what a computation is (nests) and how both are read and
written."""
