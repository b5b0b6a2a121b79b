"""Demo data: the catalogue and the prices of Meridian Industrial Supply, an invented house.

`python -m sandbox.demo FOLDER` writes the import files of `docs/import-files.md`. The same arguments give the same
bytes, on every machine.
"""
