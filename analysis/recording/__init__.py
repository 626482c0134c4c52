"""Recording: run a model, and write down what its operators read and computed, as integers."""
