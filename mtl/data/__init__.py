"""Where frames come from: trees, annotation lists, videos, splits, the drawn demo."""
