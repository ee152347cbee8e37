"""record: the records that every part of the analysis writes and every reader reads: AnalysisResult and what is in
it.
"""
