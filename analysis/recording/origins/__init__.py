"""Where each tensor comes from: the input, spikes, constants, and the operations in between."""
