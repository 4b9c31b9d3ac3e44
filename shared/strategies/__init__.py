"""Strategies (columns in, votes out) and the ensemble that makes one Signal of them."""
