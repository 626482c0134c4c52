"""Writers: the blocks of a document as text for terminals, Markdown, LaTeX, CSV, JSON or HTML."""
