"""Accounts as files: the documented JSON object, and a CSV table with one row for each operation."""

import csv
import json
import math
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from saformer.analysis.account import Account
from saformer.files import write_text_atomic

# Beyond this a float does not tell neighbouring whole numbers apart: writing it out would invent digits.
_LARGEST_EXACT = 2**53


def json_text(account: Account) -> str:
    """The account as JSON, schema 1. Counts that are whole read as integers; NaN and infinity as null."""
    # ASCII only (the default of `json`): the text survives any terminal and any file name in it.
    return json.dumps(plain(account.to_json()), indent=2, allow_nan=False) + "\n"


def write_json(account: Account, path: str | Path) -> None:
    """Write `json_text` to a file, whole or not at all."""
    write_text_atomic(Path(path), json_text(account))


def accounts_json_text(accounts: Sequence[Account]) -> str:
    """Several accounts of one profile as JSON, schema 1: what was run, and hardware and totals of each account."""
    documents = [account.to_json() for account in accounts]
    shared = {key: documents[0][key] for key in ("schema", "model", "data", "accuracy")}
    each = [{key: document[key] for key in ("accounting", "hardware", "totals", "notes")} for document in documents]
    return json.dumps(plain({**shared, "accounts": each}), indent=2, allow_nan=False) + "\n"


def write_accounts_json(accounts: Sequence[Account], path: str | Path) -> None:
    """Write `accounts_json_text` to a file, whole or not at all."""
    write_text_atomic(Path(path), accounts_json_text(accounts))


def csv_text(account: Account) -> str:
    """The operations as CSV, one row each, numbers per image; an unknown number is an empty field.

    Accounting and hardware stand in every row, so that tables of several accountings can be put together.
    """
    output = StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(
        [
            "layer",
            "block",
            "op",
            "flops_per_image",
            "input_elements_per_image",
            "input_nonzero_per_image",
            "firing_rate",
            "firing_rate_ci95",
            "input_is_binary",
            "sops_per_image",
            "sops_exact_per_image",
            "macs_per_image",
            "acs_per_image",
            "energy_mj_per_image",
            "accounting",
            "hardware",
        ]
    )
    for layer in account.layers:
        numbers = [
            layer.flops,
            layer.input_elements,
            layer.input_nonzero,
            layer.firing_rate,
            layer.firing_rate_ci95,
            layer.binary,
            layer.sops,
            layer.sops_exact,
            layer.macs,
            layer.acs,
            layer.energy_mj,
        ]
        row = [layer.name, layer.block, layer.op, *numbers, account.accounting, account.hardware.name]
        writer.writerow(plain(row))
    return output.getvalue()


def write_csv(account: Account, path: str | Path) -> None:
    """Write `csv_text` to a file, whole or not at all."""
    write_text_atomic(Path(path), csv_text(account))


def plain(value: Any) -> Any:
    """The value as JSON and CSV take it: whole floats as integers, NaN and infinity as None."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if value.is_integer() and abs(value) <= _LARGEST_EXACT:
            return int(value)
    return value
