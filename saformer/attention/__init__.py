"""Attentions: SSA (Spikformer), Q-K attention (QKFormer), SDSA (Spike-driven Transformer), SASA (SAFormer), softmax."""

from saformer.attention.qk import QKAttention
from saformer.attention.registry import Held, Work, projections, register_attention, results
from saformer.attention.sasa import SASA
from saformer.attention.sdsa import SDSA
from saformer.attention.ssa import SSA
from saformer.attention.vsa import VSA

__all__ = ["SASA", "SDSA", "SSA", "VSA", "Held", "QKAttention", "Work", "projections", "register_attention", "results"]
