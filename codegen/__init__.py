"""Kernels: from the ground's nests and plans to loops, LLVM IR text, machine code and the native thread pool."""
