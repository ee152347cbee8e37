"""store: an address comes in → a tracking store that answers, with write-once records and artifacts, goes out →
attempt is next.
"""
