"""Several accounts of one profile as one object for JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from saformer.analysis.accounting.account import Account


def accounts_data(accounts: Sequence[Account]) -> Mapping[str, Any]:
    """Several accounts of one profile as an object, schema 1: what was run once, the rest of each account in a list."""
    documents = [account.to_json() for account in accounts]
    shared = {key: documents[0][key] for key in ("schema", "model", "data", "accuracy")}
    each = [{key: document[key] for key in ("accounting", "hardware", "totals", "notes")} for document in documents]
    return {**shared, "accounts": each}
