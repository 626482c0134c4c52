"""`--fold`: the model with its BatchNorms and chains of linear layers merged, and what to say of it."""

from typing import TYPE_CHECKING, Any, TypeVar

from saformer.cli.options.model import ModelOptions
from saformer.cli.resolve.foreign import model_input, own_errors
from saformer.cli.resolve.layouts import layout_advice

if TYPE_CHECKING:
    from torch import nn

M = TypeVar("M", bound="nn.Module")


def fold_for(model: M, example: Any, options: ModelOptions | None = None) -> tuple[M, str]:
    """The folded model, in evaluation mode, and a remark.

    Args:
        model: ours or somebody's.
        example: one image of its data.
        options: how the model takes its input.
    """
    from saformer.folding import folded

    with own_errors(model, advice=layout_advice(model, options or ModelOptions(), lambda _: example)):
        found = folded(model.eval(), example, model_input(options or ModelOptions()))
    return found.model, found.sentence
