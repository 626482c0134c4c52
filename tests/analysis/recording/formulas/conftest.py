"""Lengths of passes over memory."""

import pytest

from saformer.analysis.recording.counting import looks as counting


@pytest.fixture(params=[None, 5], ids=["long passes", "short passes"])
def pass_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param is not None:
        monkeypatch.setattr(counting, "CPU_PASS", request.param)
        monkeypatch.setattr(counting, "DEVICE_PASS", request.param)
