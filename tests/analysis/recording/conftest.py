"""What the tests of plans share."""

import pytest

from saformer.analysis.recording.plan.planned_pass import PlannedPass


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many batches followed a plan, one entry for each."""
    found: list[int] = []
    book = PlannedPass.book
    monkeypatch.setattr(PlannedPass, "book", lambda self: found.append(1) or book(self))
    return found
