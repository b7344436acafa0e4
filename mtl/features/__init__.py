"""The frozen part's outputs: computed once per frame, kept on disk, read by frame."""

from mtl.features.store import FeatureStore as FeatureStore
