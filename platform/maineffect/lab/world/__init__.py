"""world: settings and a seed come in → episodes of a search world go out → policy is next."""
