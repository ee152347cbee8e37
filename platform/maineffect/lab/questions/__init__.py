"""questions: settings, or a corpus, come in → training questions, exams and demonstrations go out → train is next."""
