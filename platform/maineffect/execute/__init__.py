"""execute: planned runs come in → RunResults go out, through the ledger → ledger is next."""
