"""cli: words typed by a user come in → one call of maineffect.study each → text, JSON and an exit code go out."""
