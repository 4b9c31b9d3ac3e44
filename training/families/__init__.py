"""The families of models, each in the file of its kind."""
