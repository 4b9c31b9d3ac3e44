"""The parts of the composition root (:mod:`shared.bootstrap`), by concern; lazy like it."""
