"""Augmentation: what happens to a batch between the data set and the network, drawn from one seed per chunk."""

from saformer.training.augmentation.pipeline import Augmentation, build_augmentation, check_augmentation

__all__ = ["Augmentation", "build_augmentation", "check_augmentation"]
