"""cards: an AnalysisResult comes in → one card per question goes out → page and markdown are next."""
