"""design: a StudySpec comes in → a verified Design (cells, runs, aliases, power) goes out → register is next."""
