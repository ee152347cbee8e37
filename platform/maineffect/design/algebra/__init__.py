"""algebra: finite fields and Hadamard matrices come in → arrays and generators with known properties go out → kinds
is next.
"""
