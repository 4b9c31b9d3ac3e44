"""Models: the features they read, their cards, the ONNX files that are served, predictions."""
