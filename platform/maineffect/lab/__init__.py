"""lab: a RunRequest comes in → a trained and evaluated search agent's RunResult goes out → execute is next."""
