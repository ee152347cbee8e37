"""dashboards: a ledger and its analyses come in → pages in a browser go out. Nothing is estimated here."""
