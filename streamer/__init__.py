"""The market streamer: Binance's websockets into Event Hubs, in a container that is always on.

It imports of ``shared`` what defines an event and a setting, and nothing of ``functions`` or
``local``; ``streamer/Dockerfile`` says what is in the container.
"""
