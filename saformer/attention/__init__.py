"""The attentions of spiking transformers, a file each with its formulas, and softmax attention beside them."""

from saformer.attention.dista import SpatiotemporalAttention
from saformer.attention.dssa import DSSA
from saformer.attention.esdsa import ESDSA
from saformer.attention.qk import QKAttention
from saformer.attention.registry import Held, Work, projections, register_attention, results
from saformer.attention.sasa import SASA
from saformer.attention.sdsa import SDSA
from saformer.attention.sdsa3 import SDSA3
from saformer.attention.ssa import SSA
from saformer.attention.stsa import STSA
from saformer.attention.vsa import VSA

__all__ = [
    "DSSA",
    "ESDSA",
    "SASA",
    "SDSA",
    "SDSA3",
    "SSA",
    "STSA",
    "VSA",
    "Held",
    "QKAttention",
    "SpatiotemporalAttention",
    "Work",
    "projections",
    "register_attention",
    "results",
]
