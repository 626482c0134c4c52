"""The table of operators, what synaptic ones compute, and one that runs."""
