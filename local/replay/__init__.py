"""The whole application in virtual time on recorded or synthetic candles."""
