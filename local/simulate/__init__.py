"""The deployed application under faults, in virtual time, from one seed."""
