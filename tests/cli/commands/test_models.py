"""`saformer models` and `saformer datasets`."""


def test_lists(saformer):
    models = saformer("models").out
    assert "saformer-4-384" in models and "8.75M" in models and "digits/spikformer" in models
    datasets = saformer("datasets").out
    assert "cifar100" in datasets and "cifar-10-python.tar.gz" in datasets
