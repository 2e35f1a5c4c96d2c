"""What every learner has to keep to, checked from outside; see `suite` for the list of checks."""
