"""Neural nets: layers that know themselves in JAX and in ONNX, and how nets are fitted."""
