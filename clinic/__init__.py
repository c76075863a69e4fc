"""The clinic's own work: patients, practitioners, and later appointments, records, letters and bills."""
