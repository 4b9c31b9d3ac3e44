"""The seven nets. Small ones: there is little to learn, and much to remember by mistake."""

from __future__ import annotations

from training.nets.layers import (
    Attention,
    Chain,
    Conv,
    Dense,
    Last,
    Layer,
    Norm,
    Positions,
    Recurrent,
)

#: Two rectified layers on the features of one bar.
MLP = Chain((Dense(48, relu=True), Dense(24, relu=True)))

LSTM = Chain((Recurrent(24, "lstm"),))
GRU = Chain((Recurrent(24, "gru"),))
BILSTM = Chain((Recurrent(16, "lstm", both=True),))

#: One encoder block with its norms in front (Xiong et al., 2020).
TRANSFORMER = Chain(
    (
        Dense(32),
        Positions(),
        Chain((Norm(), Attention(4)), around=True),
        Chain((Norm(), Dense(64, relu=True), Dense(32)), around=True),
        Norm(),
        Last(),
    )
)


def _block(dilation: int) -> Layer:
    return Chain((Conv(24, dilation=dilation), Conv(24, dilation=dilation)), around=True)


#: Dilated causal convolutions around which the input goes (Bai et al., 2018): 29 steps of reach.
TCN = Chain((_block(1), _block(2), _block(4), Last()))

CNN_LSTM = Chain((Conv(24), Conv(24), Recurrent(24, "lstm")))
