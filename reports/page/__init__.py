"""One page of everything: HTML that needs no network, the same as Markdown and LaTeX, and its figures as files."""
