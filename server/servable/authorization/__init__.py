"""Who may do what on which models: rules, and how a caller shows who it is."""
