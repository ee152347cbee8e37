"""spec: a study file comes in → a validated StudySpec goes out → design is next."""
