"""Backbone and its split point, shared layer and heads, task gradients."""

from mtl.model.multitask import MultiTaskModel as MultiTaskModel
