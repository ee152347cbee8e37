"""report: an AnalysisResult comes in → one self-contained HTML file goes out → the reader is next."""
