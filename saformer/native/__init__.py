"""C and C++ that is compiled at first use: passes over memory, and an allocator. Where it is not, PyTorch serves."""
