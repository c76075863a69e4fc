"""The HTML doors of scheduling: the agenda, booking, one appointment."""
