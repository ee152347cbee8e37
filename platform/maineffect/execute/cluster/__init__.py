"""cluster: an address, or none, comes in → a Ray that runs, its processes watched, with the right code on it →
attempt is next.
"""
