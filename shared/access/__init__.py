"""Who may do what: people who sign in with Entra ID, their sessions and roles."""
