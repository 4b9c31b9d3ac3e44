"""Training of the models: candles to labels and features, to fitted models, to ONNX and cards.

The application does not know it; deployed is what it makes (``models/``), and itself only as the
image of the optional training job. The frameworks it needs are in ``training/requirements.txt``
and are imported only by the family that uses them.
"""
