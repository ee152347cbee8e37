"""corpus: a folder of documents and questions comes in → episodes over its passages go out → policy is next."""
