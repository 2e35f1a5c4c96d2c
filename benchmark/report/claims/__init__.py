"""The paper's claims as tests that records can decide; pure: rows and records in, verdicts out."""
