"""Text in HTML: escaped, and without what could steer a reader's terminal or the page."""

from saformer.text import printable


def escaped(text: str) -> str:
    """Text as it is, in an element or in a quoted attribute."""
    from markupsafe import escape

    return str(escape(printable(text)))


def attributes(scope: str = "", kind: str = "", value: str | None = None, label: str = "") -> str:
    """Attributes of a cell or row: class, exact value for sorting, and the header where a row is a card."""
    named = (("scope", scope or None), ("class", kind or None), ("data-value", value), ("data-label", label or None))
    return "".join(f' {name}="{escaped(text)}"' for name, text in named if text is not None)
