"""``./run``: the application live on the simulated exchange, with a console and a page."""
