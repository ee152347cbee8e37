"""power: a Design and the spread of a run come in → precision, power and detectable effects go out → the reader is
next.
"""
