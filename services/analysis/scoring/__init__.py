"""The scoring engine: bytes and a script in, `AnalysisResult` out. Knows neither queue nor network."""
