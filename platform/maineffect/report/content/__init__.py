"""content: an AnalysisResult comes in → words, blocks and tables, without any drawing, go out → charts and cards are
next.
"""
