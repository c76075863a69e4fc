"""The quality system: documents, training, deviations, CAPA. Its rooms come with later issues."""
