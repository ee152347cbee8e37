"""drive: a sweep comes in → what starts, waits, is adopted, retried and given up, until nothing is left → ledger is
next.
"""
