"""Running compiled programs: the thread pool's Python side, arguments, arenas, executables and the object cache."""
