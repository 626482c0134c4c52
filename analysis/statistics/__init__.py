"""Statistics of a run: confidence intervals, when to stop, and which rates matter."""
