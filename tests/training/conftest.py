"""Tests of training/: they need what training/requirements.txt installs, which ./test does."""

from __future__ import annotations

from importlib.util import find_spec

NEEDED = ("onnx", "sklearn", "xgboost", "lightgbm", "catboost", "jax", "optax")
missing = [name for name in NEEDED if find_spec(name) is None]

collect_ignore = (
    [
        "test_trained_models.py",
        "test_training_cards.py",
        "test_training_exports.py",
        "test_cli_train.py",
        "test_drift_against_scipy.py",
        "test_retraining.py",
    ]
    if missing
    else []
)


def pytest_report_header() -> str | None:
    """Said on top of every run, so that nothing is left out unseen."""
    if not missing:
        return None
    return f"training: not installed: {', '.join(missing)}; ./test installs them"
