"""Pages of what charts show: patterns and anomalies of candle files, each as one HTML file."""
