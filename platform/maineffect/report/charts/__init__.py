"""charts: a response's records come in → Vega-Lite specifications (drawn to SVG) go out → cards are next.

Every chart first computes a plain record, so that tests and the dashboard check numbers and not pixels.
"""
