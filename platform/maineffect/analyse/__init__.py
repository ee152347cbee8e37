"""analyse: a table of runs, the Design and the plan come in → an AnalysisResult goes out → report is next."""
