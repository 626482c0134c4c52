import pytest

from saformer.errors import InputError
from saformer.models import configure
from saformer.models.ablations import ABLATIONS, OWN, row_of, table_3, with_attentions


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_the_settings_of_a_row_are_recognised(ablation):
    name, settings = table_3("saformer-2-64")[ablation]
    config = configure(name, image_size=8, **settings)
    assert row_of(config.to_dict(), config.tokens, attentions=False) == ablation


def test_aggregating_to_all_tokens_is_no_aggregation():
    config = configure("saformer-2-64", aggregated=64)
    assert config.tokens == 64 and row_of(config.to_dict(), 64, attentions=False) == "w/o A"


def test_other_networks_are_in_no_row():
    for config in (
        configure("spikformer-2-64"),
        configure("saformer-2-64", aggregate="spikes"),
        configure("saformer-2-64", attention="ssa"),
    ):
        assert row_of(config.to_dict(), config.tokens, attentions=False) is None


def test_one_body_stands_with_each_attention():
    rows = with_attentions("sdt-1-64", ["ssa", "sasa"])
    assert list(rows) == [OWN, "ssa", "sasa"]
    for row, (name, settings) in rows.items():
        config = configure(name, **settings)
        assert (config.family, row_of(config.to_dict(), config.tokens, attentions=True)) == ("sdt", row)


def test_the_size_is_that_of_a_saformer():
    with pytest.raises(InputError, match="saformer"):
        table_3("spikformer-2-64")
    with pytest.raises(InputError, match="named without one"):
        with_attentions("saformer-2-64+attention=ssa", ["sdsa"])
