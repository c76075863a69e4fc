"""FHIR R4: reading what other clinical systems hand over.

`SourceRecord` remembers which foreign resource became which row, so that an
import may be repeated and references find their target.
"""
