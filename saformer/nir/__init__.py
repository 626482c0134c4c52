"""Networks of other libraries as NIR graphs: read from HDF5 within bounds, and run step by step in PyTorch."""

from saformer.nir.network import DEFAULT_DT, NirNetwork, network_from
from saformer.nir.reading import is_hdf5, read_graph

__all__ = ["DEFAULT_DT", "NirNetwork", "is_hdf5", "network_from", "read_graph"]
