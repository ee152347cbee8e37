"""ledger: RunResults come in → a tidy table of runs goes out → analyse is next."""
