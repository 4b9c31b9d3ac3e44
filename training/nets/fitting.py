"""How a net is fitted: AdamW on batches, until the validation rows stop getting likelier.

The output begins at the base rates, so a net that learns nothing ends near them. One seed is one
history: weights and batches come from numpy's generator, nothing is drawn while training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from shared.intelligence.quality import base_rates, log_loss
from training.dataset import Dataset
from training.families.family import Floats, Places, Probabilities, inputs, thinned
from training.families.nets import Net, Training
from training.graph import CLASS_COUNT, Graph, Scaler
from training.nets.layers import Chain, Dense, Weights

#: Rows that are predicted at once: one shape is compiled once.
_CHUNK = 2048

# Nets this small are not worth a graphics card, and the processor computes the same every time.
jax.config.update("jax_platforms", "cpu")


@dataclass(frozen=True)
class _Compiled:
    """A net's computations; the same functions for all fits, so that each is compiled once."""

    optimizer: Any
    step: Callable[..., Any]
    predict: Callable[..., Any]


@lru_cache(maxsize=32)
def _compiled(net: Chain, rate: float, decay: float) -> _Compiled:
    optimizer = optax.adamw(rate, weight_decay=decay)

    def loss(weights: Weights, x: Any, label: Any) -> Any:
        logits = net.apply(weights, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()

    @jax.jit
    def step(weights: Weights, state: Any, x: Any, label: Any) -> Any:
        slope = jax.grad(loss)(weights, x, label)
        change, state = optimizer.update(slope, state, weights)
        return optax.apply_updates(weights, change), state

    @jax.jit
    def predict(weights: Weights, x: Any) -> Any:
        return jax.nn.softmax(net.apply(weights, x), axis=-1)

    return _Compiled(optimizer, step, predict)


class FittedNet:
    """A net after training."""

    def __init__(self, net: Chain, plan: Training, scaler: Scaler, weights: Weights) -> None:
        self._net = net
        self._predict = _compiled(net, plan.rate, plan.decay).predict
        self._scaler = scaler
        self._weights = weights
        self.found: dict[str, Any] = {}

    def probabilities(self, x: Floats) -> Probabilities:
        return _predicted(self._predict, self._weights, self._scaler.scaled(x))

    def emit(self, graph: Graph, features: str) -> str:
        scaled = self._scaler.emit(graph, features)
        weights = jax.tree.map(np.asarray, self._weights)
        return graph.softmax(self._net.emit(weights, graph, scaled))


def fitted(
    family: Net, body: Chain, data: Dataset, fit: Places, validation: Places, seed: int
) -> FittedNet:
    """Fit a net whose ``body`` gets a last layer for the classes."""
    plan = family.training
    rng = np.random.default_rng(seed)
    rows = thinned(fit, plan.most_rows, seed)
    held = thinned(validation, plan.most_rows // 4, seed)
    scaler = Scaler.of(data.tabular(rows))

    def read(places: Places) -> Floats:
        return scaler.scaled(inputs(family, data, places))

    net = Chain((*body.layers, Dense(CLASS_COUNT)))
    x_held, label_held = read(held), data.label[held]
    weights, _ = net.begin(rng, x_held.shape[1:])
    rates = base_rates(data.label[rows])
    weights["layers"][-1] = {
        "w": weights["layers"][-1]["w"] * np.float32(0.1),
        "b": np.log(rates).astype(np.float32),
    }
    weights = jax.tree.map(jnp.asarray, weights)
    compiled = _compiled(net, plan.rate, plan.decay)
    state = compiled.optimizer.init(weights)
    best, best_loss, best_epoch = weights, np.inf, 0
    batch = min(plan.batch, len(rows))
    for epoch in range(1, plan.epochs + 1):
        order = rng.permutation(rows)
        for at in range(0, len(rows) - batch + 1, batch):
            places = order[at : at + batch]
            label = data.label[places].astype(np.int32)
            weights, state = compiled.step(weights, state, read(places), label)
        now = log_loss(_predicted(compiled.predict, weights, x_held), label_held)
        if now < best_loss:
            best, best_loss, best_epoch = weights, now, epoch
        elif epoch - best_epoch >= plan.patience:
            break
    model = FittedNet(net, plan, scaler, best)
    model.found = {"epochs": best_epoch, "rows": len(rows)}
    return model


def _predicted(predict: Callable[..., Any], weights: Weights, x: Floats) -> NDArray[np.float64]:
    found = []
    for at in range(0, len(x), _CHUNK):
        part = x[at : at + _CHUNK]
        # Filled up, so that the last one is no other shape.
        missing = _CHUNK - len(part)
        filled = np.concatenate((part, np.zeros((missing, *part.shape[1:]), part.dtype)))
        found.append(np.asarray(predict(weights, filled))[: len(part)])
    return np.concatenate(found).astype(np.float64)
