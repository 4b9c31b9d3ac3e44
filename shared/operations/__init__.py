"""What operators ask for: decisions explained, configuration, incidents. Decides nothing."""
