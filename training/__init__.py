"""Training of the models: candles to labels and features, to fitted models, to ONNX and cards.

Nothing of this is deployed; what it makes is (``models/``). The frameworks it needs are in
``training/requirements.txt`` and are imported only by the family that uses them.
"""
