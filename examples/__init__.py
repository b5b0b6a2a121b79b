"""Worked examples: other sellers' data in Tarifa's import files."""
