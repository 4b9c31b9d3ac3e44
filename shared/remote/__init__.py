"""Services asked over HTTP that are neither the exchange nor the store: language models, Azure AI,
news feeds. Nothing that trades waits for one of them."""
