"""Rows to lay out, with Eq. 21 where two networks are compared: no layout here."""
