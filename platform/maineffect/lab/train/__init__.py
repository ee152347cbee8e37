"""train: episodes and a policy come in → a trained policy and its curves go out → evaluate is next."""
