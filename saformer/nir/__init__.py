"""Networks of other libraries as NIR graphs: read from HDF5 within bounds, and run step by step in PyTorch."""
