"""Everything about a stretch of time in one file, for whoever looks into what happened in it."""
