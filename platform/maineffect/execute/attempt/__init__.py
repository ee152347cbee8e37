"""attempt: one run comes in → its trainable is called, its output kept, its end classified → drive is next."""
