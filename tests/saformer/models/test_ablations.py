import pytest

from saformer.errors import InputError
from saformer.models import configure
from saformer.models.ablations import ABLATIONS, ablation_model, ablation_of


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_the_settings_of_a_row_are_recognised(ablation):
    config = configure(ablation_model(ablation, "saformer-2-64"), image_size=8, **ABLATIONS[ablation][1])
    assert ablation_of(config.to_dict(), config.tokens) == ablation


def test_aggregating_to_all_tokens_is_no_aggregation():
    config = configure("saformer-2-64", aggregated=64)
    assert config.tokens == 64 and ablation_of(config.to_dict(), 64) == "w/o A"


def test_other_networks_are_in_no_row():
    for config in (configure("spikformer-2-64"), configure("saformer-2-64", aggregate="spikes")):
        assert ablation_of(config.to_dict(), config.tokens) is None


def test_the_size_is_that_of_a_saformer():
    with pytest.raises(InputError, match="saformer"):
        ablation_model("SDSA", "spikformer-2-64")
