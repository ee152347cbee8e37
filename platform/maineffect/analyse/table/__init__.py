"""table: a file or a ledger comes in → one tidy table of runs, checked against the study, goes out → fit is next."""
