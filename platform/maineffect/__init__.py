"""maineffect: which environment factor built which capability, and is it real?

spec → design → register → execute (→ lab) → ledger → analyse → report; :mod:`maineffect.study` is the whole
journey on one page. Importing this package imports nothing heavy.
"""

__version__ = "0.1.0"
