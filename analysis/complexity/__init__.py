"""Complexity of the attentions: one formula each, the recorder's counts on the real modules, and measured scaling."""
