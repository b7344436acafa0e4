"""Predictions in, scores with intervals out."""

from mtl.evaluation.evaluation import Evaluation as Evaluation
