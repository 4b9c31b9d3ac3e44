"""A model that Azure Machine Learning's automated training finds, judged like the project's own.

The table is made here (same features, labels and splits as ``training.pipeline``), the search runs
in Azure, and what comes back is an ONNX file of another shape: :mod:`training.automl.convert`
makes one of the application's contract of it. Only the last step of the walk-forward is given
away: the rows that the model is judged on never leave this machine.
"""
