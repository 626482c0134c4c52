"""Complexity of the attentions: one formula each, the same counts recorded on the real modules, and measured scaling."""
