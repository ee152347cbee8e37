"""confirmatory: fits and registered hypotheses come in → verdicts by the registered rule, interim looks included, go
out → run is next.
"""
