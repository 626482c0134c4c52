"""What stands around the tables of an account: what was run, and whether every operation was counted."""

from pathlib import Path

from saformer.analysis.accounting.account import Account
from saformer.analysis.diagnostics.spike_driven import Audit
from saformer.reports.document.blocks import Facts, Line
from saformer.reports.document.numbers import NOT_KNOWN, percent, si


def what_was_run(account: Account, accounting: str | None = None) -> Facts:
    """Model, checkpoint, data, accounting and accuracy; `accounting` replaces the account's own name."""
    model, data, hardware = account.model, account.data, account.hardware
    steps = model.time_steps or NOT_KNOWN
    facts = [("model", f"{model.name}, {si(model.parameters)} parameters, T = {steps}")]
    if model.checkpoint is not None:
        digest = f", SHA-256 {model.sha256[:12]}..." if model.sha256 else ""
        facts.append(("checkpoint", Path(model.checkpoint).name + digest))
    split = f", {data.split} split" if data.split else ""
    facts.append(("data", f"{data.name}{split}, {_images(data.images)} ({data.kind})"))
    mac = NOT_KNOWN if hardware.mac_pj is None else f"{hardware.mac_pj:g} pJ"
    costs = f"MAC {mac}, AC {hardware.ac_pj:g} pJ"
    facts.append(("accounting", f"{accounting or account.accounting}, on {hardware.name}: {costs}"))
    if account.accuracy is not None:
        top5 = account.accuracy.top5
        second = "" if top5 is None else f", top-5 {percent(top5, decimals=2)}"
        facts.append(("accuracy", f"top-1 {percent(account.accuracy.top1, decimals=2)}{second}"))
    return Facts(facts)


def counted(of: Account | Audit) -> Line:
    """Whether every operation was counted, or which were not."""
    return Line(of.coverage, "warning" if of.uncounted else "dim")


def _images(images: int) -> str:
    return "1 image" if images == 1 else f"{images:,} images"
