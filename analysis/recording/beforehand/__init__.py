"""What is learned of a model and its input before anything is counted: samples, time, state, the kind of input."""
